"""Decides who calls the admin API: the bearer of a token, or of a certificate of a trusted CA.

Wrong tokens are throttled by source, and right ones never: a token cannot be guessed, and nobody shall lock
an operator out who comes from the same address, such as loopback.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from s3sftp.admin.api_problems import ApiRefusal
from s3sftp.admin.api_tokens import ApiToken, BadTokens, find_token, read_tokens
from s3sftp.admin.options import AdminOptions
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.logs import printable

_log = get_logger("s3sftp.admin")
_MOST_FAILURES = 10
_WINDOW_SECONDS = 60.0
_MOST_SOURCES = 1024
_LOOK_SECONDS = 1.0
"""How often the file of tokens is looked at, at most."""
_UNAUTHORIZED = "a bearer token or a client certificate is needed"


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """Who calls."""

    name: str
    kind: str
    """`token` or `certificate`."""
    read_only: bool = False


class FailedAttempts:
    """Counts failures of sources. Pure: the time is given."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def note(self, source: str, now: float) -> float:
        """Note a failure. Returns the seconds that the source has to wait; 0: none."""
        count, began = self._failures.pop(source, (0, now))
        if now - began >= _WINDOW_SECONDS:
            count, began = 0, now
        self._failures[source] = (count + 1, began)
        while len(self._failures) > _MOST_SOURCES:
            self._failures.popitem(last=False)
        return _WINDOW_SECONDS - (now - began) if count >= _MOST_FAILURES else 0.0


class TokenFile:
    """The tokens in a file, as it is now."""

    def __init__(self, file: Path, clock: Callable[[], float] = monotonic) -> None:
        self._file = file
        self._clock = clock
        self._tokens: Sequence[ApiToken] = ()
        self._seen: tuple[int, int, int] | None = None
        self._looked: float | None = None
        self._problem = ""
        self._looking = asyncio.Lock()

    async def tokens(self) -> Sequence[ApiToken]:
        """The tokens; none while the file cannot be used, of which the log says each reason once."""
        async with self._looking:  # nobody is judged by tokens that have not been read yet
            now = self._clock()
            if self._looked is None or now - self._looked >= _LOOK_SECONDS:
                await asyncio.to_thread(self._look)
                self._looked = now
        return self._tokens

    def _look(self) -> None:
        try:
            found = self._file.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        except OSError:
            seen = None
        if seen is not None and seen == self._seen:
            return
        try:
            self._tokens = read_tokens(self._file)
        except BadTokens as problem:
            self._tokens = ()  # a token that was taken back must not go on because of a typing error
            self._seen = None  # the file may be good although it does not change: it is read again
            if str(problem) != self._problem:
                self._problem = str(problem)
                _log.error("admin.tokens_unusable", file=str(self._file), problem=self._problem)
        else:
            self._seen, self._problem = seen, ""


class ApiAccess:
    """Who may call."""

    def __init__(self, options: AdminOptions, clock: Callable[[], float] = monotonic) -> None:
        self._tokens = TokenFile(options.token_file, clock) if options.token_file else None
        self._trusts_certificates = options.client_ca_file is not None
        self._hosts = frozenset(
            name.lower() for name in ("localhost", options.host, *options.allowed_hosts) if name
        )
        self._clock = clock
        self._failed = FailedAttempts()
        self._logged = LogThrottle()

    async def caller(
        self, authorization: str | None, source: str, certificate: Mapping[str, Any] | None
    ) -> ApiCaller:
        """Who calls. `certificate`: as `SSLSocket.getpeercert` has it, if TLS has verified one.

        Raises ApiRefusal: if it is nobody who may.
        """
        if authorization is None and self._trusts_certificates and certificate:
            return ApiCaller(_subject(certificate), "certificate")
        scheme, _, given = (authorization or "").partition(" ")
        if self._tokens is not None and scheme.lower() == "bearer":
            token = find_token(await self._tokens.tokens(), given.strip())
            if token is not None:
                return ApiCaller(token.name, "token", token.read_only)
        raise self._refusal(source, "wrong token" if authorization else "no token")

    def require_own_host(self, host: str, origin: str | None) -> None:
        """Refuse requests that a web page of another site has sent, by DNS rebinding or by the browser.

        Raises ApiRefusal: if it is one.
        """
        if not self._is_own(host):
            raise ApiRefusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host header has a name that is not this server's: add it to admin.allowed_hosts",
            )
        if origin is not None and _host_of(origin) != host.lower():
            raise ApiRefusal(HTTPStatus.FORBIDDEN, "a page of another site has sent this request")

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return host.rpartition(":")[0].lower() in self._hosts or host.lower() in self._hosts
        return True  # rebinding needs a name

    def _refusal(self, source: str, reason: str) -> ApiRefusal:
        now = self._clock()
        wait = self._failed.note(source, now)
        suppressed = self._logged.allow(reason, now)
        if suppressed is not None:
            _log.warning("admin.access_refused", peer=source, reason=reason, suppressed=suppressed or None)
        if wait:
            return ApiRefusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many requests without a right token",
                {"Retry-After": str(max(1, int(wait)))},
            )
        return ApiRefusal(
            HTTPStatus.UNAUTHORIZED, _UNAUTHORIZED, {"WWW-Authenticate": 'Bearer realm="s3sftp"'}
        )


def _host_of(origin: str) -> str:
    """The host and the port of an Origin header; empty if it has none, or is no URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _subject(certificate: Mapping[str, Any]) -> str:
    """The common name of the subject, else all of it."""
    parts = [part for parts in certificate.get("subject", ()) for part in parts]
    common = [value for name, value in parts if name == "commonName"]
    return printable(common[0] if common else ", ".join(f"{name}={value}" for name, value in parts))
