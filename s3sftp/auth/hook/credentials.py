"""Reads the files that authenticate the server and the hook to each other."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from s3sftp.auth.hook.options import HookOptions
from s3sftp.config.client_credentials import CredentialFiles, header_in
from s3sftp.errors import ConfigurationError

_OUR_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "password", "passwordbase64"}
)
_MIN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class HookCredentials:
    """What requests are sent with."""

    tls: ssl.SSLContext
    header: tuple[str, str] | None = field(default=None, repr=False)
    """A secret header: its name and value."""
    signing_key: bytes | None = field(default=None, repr=False)


def read_credentials(options: HookOptions) -> HookCredentials:
    """Read the files. Blocking.

    Raises ConfigurationError: if files cannot be used; lists each of them.
    """
    files = CredentialFiles("hook")
    parts = urlsplit(options.url)
    if parts.username is not None or parts.password is not None:
        files.problems.append("hook.url has a user name or a password: put credentials into hook.header_file")
    if options.client_key_file is not None and options.client_cert_file is None:
        files.problems.append("hook.client_key_file needs hook.client_cert_file")
    credentials = HookCredentials(
        files.tls(options.ca_file, options.client_cert_file, options.client_key_file),
        files.read("header_file", options.header_file, lambda data: header_in(data, _OUR_HEADERS)),
        files.read("signing_key_file", options.signing_key_file, _key_in),
    )
    if files.problems:
        raise ConfigurationError(files.problems)
    return credentials


def _key_in(data: bytes) -> bytes:
    key = data.strip(b"\r\n")
    if len(key) < _MIN_KEY_BYTES:
        raise ValueError(f"should have at least {_MIN_KEY_BYTES} bytes, such as `openssl rand -hex 32` makes")
    return key
