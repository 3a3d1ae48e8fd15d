"""Says which URLs may carry secrets, and shows URLs without theirs. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_USERINFO = re.compile(r"(?<=//)\S*@")
"""To the last `@`: a password that is not escaped may have any of `/?#@`."""
_QUERY = re.compile(r"(//[^\s?#]*[?#])\S+")


def without_url_secrets(text: str) -> str:
    """The text with the user names, passwords, queries and fragments of its URLs hidden. Of a URL with an `@`
    in its path, everything before that is hidden too."""
    return _QUERY.sub(r"\1***", _USERINFO.sub("***@", text))


def is_loopback(url: str) -> bool:
    """Whether a URL points to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_exposed(url: str) -> bool:
    """Whether others on the network can read and change what is sent to a URL."""
    return urlsplit(url).scheme == "http" and not is_loopback(url)


def service_address_problem(url: str) -> str | None:
    """The problem with the address of a service on which the server relies; None if it is usable."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or is_exposed(url):
        return (
            "should begin with https://; http:// is only for this machine, because others on the network"
            " could read and change what is sent"
        )
    if parts.username is not None or parts.password is not None:
        return "should have no user name and no password"
    return None
