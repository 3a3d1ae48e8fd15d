"""Reads the files that authenticate the server and an HTTP service to each other. Blocking."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_MAX_FILE_BYTES = 64 << 10


class CredentialFiles:
    """The files that a group of options names. What is wrong with them is collected in `problems`."""

    def __init__(self, group: str) -> None:
        self._group = group
        self.problems: list[str] = []

    def tls(self, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
        """The context for requests. Without `ca_file`, it trusts the system's authorities; with it, no other.
        Without `cert_file`, the server shows no certificate."""
        context = ssl.create_default_context()
        if ca_file is not None:
            try:
                context = ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                self._unusable("ca_file", ca_file, error)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file is not None:
            try:
                # an empty password: a key that needs one is an error, not a question on the terminal
                context.load_cert_chain(cert_file, key_file, password="")
            except OSError as error:
                self._unusable("client_cert_file", cert_file, error)
        return context

    def read(self, option: str, file: Path | None, parse: Callable[[bytes], T]) -> T | None:
        """What `parse` makes of a file; None if there is none, or if it raises ValueError."""
        if file is None:
            return None
        try:
            with file.open("rb") as stream:
                return parse(stream.read(_MAX_FILE_BYTES))
        except OSError as error:
            self._unusable(option, file, error)
        except ValueError as error:
            self.problems.append(f"{self._group}.{option} = {str(file)!r}: {error}")
        return None

    def _unusable(self, option: str, file: Path, error: OSError) -> None:
        what = f"not usable PEM: {error}" if isinstance(error, ssl.SSLError) else error.strerror or error
        self.problems.append(f"{self._group}.{option} = {str(file)!r}: {what}")


def header_in(data: bytes, ours: Collection[str]) -> tuple[str, str]:
    """The name and the value of a secret header. `ours` are the lower-case names that no file may set.

    Raises ValueError: without the content, which is secret.
    """
    found = _HEADER.fullmatch(data.decode("ascii", "replace").strip())
    if found is None:
        raise ValueError("should be one line of printable ASCII, `Name: value`")
    name, value = found.groups()
    if name.lower() in ours:
        raise ValueError(f"may not set the header {name}, which the server sets itself")
    return name, value
