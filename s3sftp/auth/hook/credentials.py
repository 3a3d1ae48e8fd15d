"""Reads the files that authenticate the server and the hook to each other."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from s3sftp.auth.hook.options import HookOptions
from s3sftp.errors import ConfigurationError

T = TypeVar("T")
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_OUR_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "password", "passwordbase64"}
)
_MIN_KEY_BYTES = 32
_MAX_FILE_BYTES = 64 << 10


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
    problems: list[str] = []
    parts = urlsplit(options.url)
    if parts.username is not None or parts.password is not None:
        problems.append("hook.url has a user name or a password: put credentials into hook.header_file")
    if options.client_key_file is not None and options.client_cert_file is None:
        problems.append("hook.client_key_file needs hook.client_cert_file")
    credentials = HookCredentials(
        _tls(options, problems),
        _read("header_file", options.header_file, _header_in, problems),
        _read("signing_key_file", options.signing_key_file, _key_in, problems),
    )
    if problems:
        raise ConfigurationError(problems)
    return credentials


def _tls(options: HookOptions, problems: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if options.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=options.ca_file)  # trusts no other authority
        except OSError as error:
            problems.append(_unusable("ca_file", options.ca_file, error))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.client_cert_file is not None:
        try:
            # an empty password: a key that needs one is an error, not a question on the terminal
            context.load_cert_chain(options.client_cert_file, options.client_key_file, password="")
        except OSError as error:
            problems.append(_unusable("client_cert_file", options.client_cert_file, error))
    return context


def _unusable(option: str, file: Path, error: OSError) -> str:
    what = f"not usable PEM: {error}" if isinstance(error, ssl.SSLError) else error.strerror or error
    return f"hook.{option} = {str(file)!r}: {what}"


def _read(option: str, file: Path | None, parse: Callable[[bytes], T], problems: list[str]) -> T | None:
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            return parse(stream.read(_MAX_FILE_BYTES))
    except OSError as error:
        problems.append(_unusable(option, file, error))
    except ValueError as error:
        problems.append(f"hook.{option} = {str(file)!r}: {error}")
    return None


def _header_in(data: bytes) -> tuple[str, str]:
    """Raises ValueError: without the content, which is secret."""
    found = _HEADER.fullmatch(data.decode("ascii", "replace").strip())
    if found is None:
        raise ValueError("should be one line of printable ASCII, `Name: value`")
    name, value = found.groups()
    if name.lower() in _OUR_HEADERS:
        raise ValueError(f"may not set the header {name}, which the server sets itself")
    return name, value


def _key_in(data: bytes) -> bytes:
    key = data.strip(b"\r\n")
    if len(key) < _MIN_KEY_BYTES:
        raise ValueError(f"should have at least {_MIN_KEY_BYTES} bytes, such as `openssl rand -hex 32` makes")
    return key
