"""Options of the `[admin]` group."""

from __future__ import annotations

from pydantic import Field, model_validator

from s3sftp.config import LocalPath, Options


class AdminOptions(Options):
    """The port for operators and monitoring: health and metrics, and with a token or a CA of clients the API,
    over HTTP. Never for clients of SFTP."""

    host: str = "127.0.0.1"
    """Address or name to listen on; empty for all addresses, IPv4 and IPv6. Health and metrics have no login:
    make sure that only those can reach the port who may see the buckets' names and the load."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """TCP port; 0 picks a free one, which the log event `admin.listening` reports. Default: no admin port."""
    token_file: LocalPath | None = None
    """A file of tokens for the API, which is off without one and without `client_ca_file`: a line for each,
    as `TOKEN`, `NAME TOKEN` or `NAME TOKEN read-only`. A token has at least 32 characters. The file is read
    again when it changes, so tokens are rotated without a restart."""
    cert_file: LocalPath | None = None
    """The certificate of the port in PEM, with those of intermediate CAs. The whole port speaks TLS then."""
    key_file: LocalPath | None = None
    """The private key of the certificate, in PEM."""
    client_ca_file: LocalPath | None = None
    """CAs in PEM that certify clients of the API: a certificate of theirs is as good as a token. Health and
    metrics need none."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which browsers and other clients of the API reach the port, besides `localhost`, `host` and IP
    addresses. Requests for other names are refused, so that no web page can reach the API by a name of its
    own."""

    @property
    def has_api(self) -> bool:
        """Whether the API is served."""
        return self.port is not None and (self.token_file is not None or self.client_ca_file is not None)

    @model_validator(mode="after")
    def _complete_tls(self) -> AdminOptions:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file should be set together")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("client_ca_file needs cert_file and key_file: certificates are shown in TLS")
        return self
