"""Decides for the whole server who may try to log in: bans of sources, and the limit of guesses at one user.

    offence of a source ──► Bans ──► source.banned        the operator's `s3sftp bans add` and `lift`
    password for a name ──► UserThrottle ──► user.throttled

What a client can observe must not depend on whether a user exists. So an offence weighs the same for a name
that no user has as for a wrong password, and what weighs more is another *name* from the same source.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from hashlib import blake2b

from s3sftp.auth.address_patterns import plain_address
from s3sftp.auth.bans import Ban, BanPolicy, Bans, source_of
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.user_throttle import UserThrottle
from s3sftp.errors import InvalidRequest
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import BANS, BANS_TOTAL
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.auth")
_LOG_SECONDS = 60.0
"""Minimum interval of the log line that passwords of a user are not tried."""


class Offence(StrEnum):
    """What a source can do wrong."""

    PASSWORD = "password"  # noqa: S105, a kind of offence
    """A wrong password or verification code, one for a user who does not exist, or a connection that ended
    after a right one without the factors that the login needs beside it."""
    PUBLICKEY = "publickey"
    """A connection that offered keys, none of which opens an account, or that ended after a right one without
    the factors that the login needs beside it."""
    PROTOCOL = "protocol"
    """A connection that sent something else than SSH."""
    NO_LOGIN = "no_login"
    """A connection of an SSH client that ended without an attempt to log in."""


OPERATOR = "operator"
"""The reason of a ban that an operator has added."""
BanChanged = Callable[[str, Ban | None, bool], None]
"""Called with the source whose ban has begun, the ban, and whether the operator has added it. With None
instead of the ban: the operator has lifted it."""


def _nobody_asks(source: str, ban: Ban | None, by_operator: bool) -> None:
    pass


class Defender:
    """The bans and limits of a server."""

    def __init__(
        self,
        options: AuthOptions,
        metrics: Metrics | None = None,
        exempt: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`exempt` are networks that are never banned, beside `auth.never_banned`."""
        window = options.ban_window.total_seconds()
        self._points = {
            Offence.PASSWORD: 1,
            Offence.PUBLICKEY: 1,
            Offence.PROTOCOL: options.ban_points_protocol,
            Offence.NO_LOGIN: options.ban_points_no_login,
        }
        self._bans = Bans(
            BanPolicy(
                threshold=options.ban_failures,
                window_seconds=window,
                first_seconds=options.ban_time.total_seconds(),
                max_seconds=options.ban_max_time.total_seconds(),
                memory_seconds=options.ban_memory.total_seconds(),
                other_name_points=options.ban_points_other_user,
                max_sources=options.max_tracked_sources,
            )
        )
        self._users = UserThrottle(options.user_failures, window, options.max_tracked_sources)
        self._exempt = [ipaddress.ip_network(text) for text in (*options.never_banned, *exempt)]
        self._clock = clock
        self._throttled = LogThrottle(_LOG_SECONDS)
        self.changed: BanChanged = _nobody_asks
        """Called for each ban that this server decides, and each that is lifted here."""
        self.counted: Callable[[str, int], None] = lambda _source, _points: None
        """Called with the source and its points for each offence that causes no ban."""
        metrics = metrics or Metrics()
        self._count = metrics.add
        metrics.observe(BANS, lambda: len(self.bans()))

    def exempts(self, address: str) -> bool:
        """Whether the address is in a network that is never banned."""
        if not self._exempt:
            return False
        try:
            plain = plain_address(address)
        except ValueError:
            return False
        return any(plain in network for network in self._exempt)

    def banned(self, source: str) -> bool:
        """Whether the source is banned."""
        return self._bans.banned(source, self._clock())

    def offended(self, source: str, offence: Offence, user: str = "", has_proven: bool = False) -> bool:
        """Count an offence, by the user name that it concerns, if any. Returns whether the source is banned
        now. `has_proven`: the client had proven a factor for this user before."""
        now = self._clock()
        name = _digest(user)
        if offence is Offence.PASSWORD:
            self._users.failed(name, source, now, has_proven)
        before = self._bans.score(source, now)
        ban = self._bans.count(source, offence, self._points[offence], now, name)
        if ban is None and (points := self._bans.score(source, now) - before) > 0:
            self.counted(source, points)
        if ban is not None:
            self._report(ban)
            self.changed(source, ban, False)
        return ban is not None or self._bans.banned(source, now)

    def may_try_password(self, user: str, source: str, has_proven: bool = False) -> bool:
        """Whether a password or a code for the user name may be tried from the source; if not, it counts as
        wrong. `has_proven`: the client has proven another factor for this user."""
        now = self._clock()
        if self._users.allows(_digest(user), source, now, has_proven):
            return True
        suppressed = self._throttled.allow("", now)
        if suppressed is not None:
            _log.warning("user.throttled", user=user, source=source, suppressed=suppressed)
        return False

    def logged_in(self, user: str, source: str) -> None:
        """Record a login with a user name."""
        self._users.logged_in(_digest(user), source)

    # -- the operator

    def bans(self) -> list[tuple[Ban, float]]:
        """The bans in force, each with the seconds that remain."""
        now = self._clock()
        return [(ban, ban.remaining(now)) for ban in self._bans.active(now)]

    def ban(self, address: str, seconds: float) -> Ban:
        """Ban the source of an address.

        Raises InvalidRequest: if it is no address, or one that is never banned.
        Raises TooManyBans: if too many sources are banned already.
        """
        source = _source_in(address)
        if self.exempts(address.partition("/")[0]):
            raise InvalidRequest(f"{address} is in auth.never_banned or ssh.shared_sources")
        ban = self._bans.add(source, OPERATOR, seconds, self._clock())
        self._report(ban)
        self.changed(source, ban, True)
        return ban

    def lift(self, address: str) -> bool:
        """End the bans of the source of an address, and forget its offences. Returns whether it was banned.

        Raises InvalidRequest: if it is no address.
        """
        now, source = self._clock(), _source_in(address)
        lifted = self._bans.lift(source, now)
        for by_operator in (False, True):
            self.changed(source, None, by_operator)
        for ban in lifted:
            _log.info(
                "source.unbanned",
                source=ban.source,
                reason=ban.reason,
                score=ban.score,
                seconds=round(ban.remaining(now), 1),
            )
        return bool(lifted)

    # -- other replicas

    def adopt(self, ban: Ban, *, by_operator: bool) -> bool:
        """Take over the ban of another replica, as `Bans.adopt`. `ban.until` is the number of seconds that
        remain, negative if it has ended."""
        now = self._clock()
        return self._bans.adopt(replace(ban, until=now + ban.until), now, by_operator=by_operator)

    def reached(self, source: str, points: int) -> None:
        """Ban a source that has so many points on all replicas together, if that is enough."""
        if (ban := self._bans.reached(source, points, self._clock())) is not None:
            self._report(ban)
            self.changed(source, ban, False)

    def end(self, source: str, *, by_operator: bool) -> bool:
        """End a ban that another replica has lifted. Returns whether it was in force."""
        return self._bans.end(source, self._clock(), by_operator=by_operator) is not None

    def _report(self, ban: Ban) -> None:
        self._count(BANS_TOTAL.row(str(ban.reason)))
        _log.warning(
            "source.banned",
            source=ban.source,
            reason=str(ban.reason),
            score=ban.score,
            failures=ban.offences,
            nth=ban.number,
            seconds=ban.seconds,
        )


def _source_in(text: str) -> str:
    """The source of an address; also of an IPv6 source as it is shown, a /64 network."""
    address, slash, length = text.strip().partition("/")
    try:
        plain = plain_address(address)
    except ValueError:
        plain = None
    wanted = "64" if isinstance(plain, ipaddress.IPv6Address) else "32"
    if plain is None or (slash and length != wanted):
        raise InvalidRequest(f"{text!r} should be an IP address, or the /64 network of an IPv6 address")
    return source_of(address)


def _digest(user: str) -> str:
    """What is remembered of a user name, which clients may make long; empty if it is empty."""
    return blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest() if user else ""
