"""A client of the admin port's API, for commands, and the flags by which they find the server."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click

from s3sftp.admin.api_tokens import BadTokens, read_tokens
from s3sftp.cli.admin_address import admin_settings, configured_address, reachable
from s3sftp.errors import ConfigurationError, S3sftpError

F = TypeVar("F", bound=Callable[..., Any])
_SECONDS = 10.0
_MAX_BYTES = 16 << 20


class CannotAskServer(S3sftpError):
    """The running server cannot be reached, or refuses the request."""


class ServerIsAway(CannotAskServer):
    """The running server does not answer."""


def admin_flags(command: F) -> F:
    """`--url --token-file --ca-file --certificate --certificate-key --config`."""
    file = click.Path(path_type=Path)
    for decorate in (
        click.option(
            "--config",
            "config_file",
            type=file,
            envvar="S3SFTP_CONFIG",
            help="The server's configuration file (TOML), whose [admin] says where it is.",
        ),
        click.option("--certificate-key", type=file, help="Private key of --certificate."),
        click.option(
            "--certificate", type=file, help="Client certificate (PEM) for an admin port that asks."
        ),
        click.option(
            "--ca-file", type=file, help="CA of the server's certificate (PEM); default: the system's."
        ),
        click.option("--token-file", type=file, help="The API's token; default: `admin.token_file`."),
        click.option(
            "--url", metavar="URL", help="The admin port, as http://127.0.0.1:9090; default: [admin]."
        ),
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True)
class AdminClient:
    """One server's API."""

    host: str
    port: int
    token: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    prefix: str = ""
    """The path that a proxy has the port under."""

    @classmethod
    def of_flags(
        cls,
        url: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        certificate: Path | None,
        certificate_key: Path | None,
        config_file: Path | None,
    ) -> AdminClient:
        """The server that the flags, or else its configuration, name.

        Raises ConfigurationError: if they name none, or are wrong.
        Raises OSError: if a file cannot be read.
        """
        found = admin_settings(config_file) if config_file or url is None or token_file is None else {}
        configured = found.get("token_file")
        token = _read_token(token_file or (Path(str(configured)) if configured else None))
        if url is None:
            host, port = configured_address(found, None, "--url")
            if port == 0:
                raise ConfigurationError(
                    ["admin.port = 0 picks a free port: give --url with the one that the log names"]
                )
            is_tls = bool(found.get("cert_file"))
            return cls(reachable(host), port, token, _tls(is_tls, ca_file, certificate, certificate_key))
        host, port, is_tls, prefix = _parts_of(url)
        return cls(host, port, token, _tls(is_tls, ca_file, certificate, certificate_key), prefix)

    def get(self, path: str, **query: object) -> Any:
        """What a GET answers. `path` is below `/api/v1/`; parameters that are None are left out.

        Raises ServerIsAway: if there is no answer.
        Raises CannotAskServer: if the server refuses, or answers something else than its API.
        """
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path)

    def delete(self, path: str, name: str) -> Any:
        """End what is called `name` below `path`. Raises as `get` does."""
        return self._ask("DELETE", f"{path}/{quote(name, safe='', errors='surrogateescape')}")

    def _ask(self, method: str, path: str) -> Any:
        where = f"{self.host} port {self.port}"
        connection = self._connection()
        try:
            connection.request(method, f"{self.prefix}/api/v1/{path}", headers=self._headers())
            answer = connection.getresponse()
            body = answer.read(_MAX_BYTES)
        except UnicodeError:
            raise CannotAskServer(f"{self.host!r} should be a host name or an address") from None
        except ssl.SSLError as error:
            advice = "--url should have the name in its certificate, and --ca-file its CA"
            raise CannotAskServer(f"no TLS with {where}: {_reason(error)}; {advice}") from None
        except (OSError, OverflowError, http.client.HTTPException) as error:
            raise ServerIsAway(f"no answer from {where}: {error or type(error).__name__}") from None
        finally:
            connection.close()
        return _answer(answer.status, body, where, has_token=bool(self.token))

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        return http.client.HTTPSConnection(self.host, self.port, timeout=_SECONDS, context=self.tls)

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return str(error.reason or error)


def _answer(status: int, body: bytes, where: str, *, has_token: bool) -> Any:
    try:
        said = json.loads(body) if body else None
    except ValueError:
        said = None
        if status < 400:
            raise CannotAskServer(f"what answers at {where} is not the API of s3sftp") from None
    if status < 400:
        return said
    detail = said.get("detail") if isinstance(said, Mapping) else None
    reason = str(detail) if detail else f"status {status}"
    if status == 401:
        advice = "the token is wrong" if has_token else "it asks for a token: give --token-file"
        reason = f"{advice} ({reason})"
    elif status == 404 and said is None:
        reason = "it has no API: is this the admin port of this version of s3sftp?"
    raise CannotAskServer(f"{where}: {reason}")


def _parts_of(url: str) -> tuple[str, int, bool, str]:
    """Host, port, whether by TLS, and the path before the API's."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise ConfigurationError([f"--url = {url!r} should be like http://127.0.0.1:9090"])
    is_tls = parts.scheme == "https"
    return parts.hostname, port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/")


def _read_token(file: Path | None) -> str:
    """A token of the server's file: the first that may do everything, or else the first one."""
    if file is None:
        return ""
    try:
        tokens = read_tokens(file)
    except BadTokens as problem:
        raise ConfigurationError([f"{str(file)!r}: {problem}"]) from None
    return min(tokens, key=lambda token: token.read_only).secret


def _tls(
    is_wanted: bool, ca_file: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext | None:
    if not is_wanted:
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        problem = f"the files of certificates cannot be used: {error.reason or error}"
        raise ConfigurationError([problem]) from None
    return context
