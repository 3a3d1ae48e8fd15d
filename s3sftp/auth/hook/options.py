"""Options of the `[hook]` group."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from s3sftp.config import Duration, LocalPath, Options, PositiveDuration

MAX_CONNECTIONS = 32
"""Connections of one process to the hook; further requests wait for one."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class HookOptions(Options):
    """An HTTP service that answers for users who are not in the configuration, such as a custom identity
    provider of AWS Transfer Family. See hook.md."""

    url: str
    """Where the hook is asked, beginning with `https://`; `http://` only on this machine (`127.0.0.1`, `::1`,
    `localhost`). For `api-gateway` the URL of the stage, such as
    `https://abc123.execute-api.eu-central-1.amazonaws.com/prod`."""
    style: Literal["post", "api-gateway"] = "post"
    """The form of requests: `post` sends the fields that Transfer Family passes to a Lambda function, as JSON
    in the body of a POST; `api-gateway` sends the GET that it sends to an API Gateway."""
    server_id: str = Field(default="s3sftp", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """The `serverId` in requests: that of the Transfer Family server, if the hook distinguishes servers."""
    timeout: PositiveDuration = timedelta(seconds=5)
    """How long the answer to one login may take, with all repetitions. Less than `auth.answer_timeout`."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often a request is repeated, within `timeout`, if the connection fails before an answer comes, or
    the status is 502, 503 or 504."""
    cache_time: Duration = timedelta(0)
    """How long an accepted login is remembered, so that the hook is not asked again for the same user,
    address and password, or for the user's keys. For so long a user whom the hook has blocked may still log
    in. Passwords are remembered only as a keyed hash. 0: every login asks the hook."""
    role: Literal["refuse", "ignore", "assume"] = "refuse"
    """What to do with a `Role` in an answer. `refuse`: refuse the login. `ignore`: accept it, with the
    server's own credentials; access is limited by the home directory alone. `assume`: assume the role for
    everything that the user does, within the home directory; the storage's `mount_roles` have to allow it.
    """
    policy: Literal["refuse", "ignore"] = "refuse"
    """What to do with a `Policy`, which limits the rights of the role further, and which the server does not
    apply. `refuse`: refuse the login. `ignore`: accept it."""
    bucket: str = ""
    """The bucket that answers name in `HomeDirectory` and `HomeDirectoryDetails`. Default: `s3.bucket`."""
    ca_file: LocalPath | None = None
    """Certificates of the authorities that may have signed the hook's certificate, in PEM format. Default:
    those of the system."""
    client_cert_file: LocalPath | None = None
    """A client certificate for the hook, in PEM format, with its chain."""
    client_key_file: LocalPath | None = None
    """The private key of `client_cert_file`. Default: the key is in that file."""
    header_file: LocalPath | None = None
    """A file with a secret header that every request carries, such as `x-api-key: 4f1c…`. Read at start."""
    signing_key_file: LocalPath | None = None
    """A file with a key of at least 32 bytes, by which every request is signed. Read at start."""
    max_failures: int = Field(default=5, ge=1, le=1000)
    """After so many requests without an answer in a row, one process asks for the user `s3sftp-probe`. If
    that has no answer either, it asks the hook no more for users: logins through it are refused at once until
    the hook answers again."""
    probe_interval: PositiveDuration = timedelta(seconds=10)
    """How often a process asks a hook that is down whether it answers again, for the user `s3sftp-probe`."""

    @property
    def address(self) -> str:
        """The URL without its query, which may contain a secret: for logs."""
        return urlsplit(self.url)._replace(query="").geturl()

    @field_validator("url")
    @classmethod
    def _url_is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (local or parts.scheme == "https"):
            raise ValueError(
                "should begin with https://; http:// is only for 127.0.0.1, ::1 and localhost, because"
                " passwords are sent to it"
            )
        if parts.fragment:
            raise ValueError("should have no fragment (#)")
        return value
