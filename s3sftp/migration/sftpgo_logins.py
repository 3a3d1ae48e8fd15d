"""Converts who may log in, when, from where and by what: SFTPGo's conditions of a login over SSH. Pure.

Sources: `loginUser` in SFTPGo's sftpd, `checkUserAndPass`, `CheckLoginConditions`, `IsPartialAuth`,
`IsLoginFromAddrAllowed` in its dataprovider.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from s3sftp.auth.passwords import check_hash
from s3sftp.auth.totp import checked_secret
from s3sftp.migration.findings import UserFindings
from s3sftp.migration.sftpgo_dump import Filters, TimePeriod, User
from s3sftp.migration.user_tables import usable_keys

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_SSH = "SSH"
_SSH_METHODS = {
    "publickey",
    "password",
    "password-over-SSH",
    "keyboard-interactive",
    "publickey+password",
    "publickey+keyboard-interactive",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_DAY_MS = 86_400_000


def login_of(user: User, timezone: str, findings: UserFindings) -> dict[str, Any]:
    """The options of the user that decide about logins. `user` has the settings of its groups."""
    filters = user.filters
    if _SSH in filters.denied_protocols:
        findings.disable("filters.denied_protocols", "SSH is denied")
    _report_other_protocols(filters, findings)
    if filters.is_anonymous:
        findings.disable("filters.is_anonymous", "SFTPGo has no anonymous users over SSH")
    keys = usable_keys(user.public_keys, "public_keys", findings)
    password = _password(user, has_keys=bool(keys), findings=findings)
    credentials = _credentials(filters, keys, password, findings)
    return {
        **credentials,
        "disabled": True if user.status < 1 else None,
        "expires": _expires(user, has_keys=bool(keys), has_password=bool(password)),
        "networks": _networks(filters, findings),
        "hours": _hours(filters.access_time, timezone, findings),
    }


def _report_other_protocols(filters: Filters, findings: UserFindings) -> None:
    """What says nothing about SFTP: this server has no other protocol."""
    for name, texts, about_ssh in (
        ("denied_protocols", filters.denied_protocols, {_SSH}),
        ("two_factor_protocols", filters.two_factor_protocols, {_SSH}),
        ("denied_login_methods", filters.denied_login_methods, _SSH_METHODS),
    ):
        if others := sorted(set(texts) - about_ssh):
            findings.leave_out(f"filters.{name}", f"{', '.join(others)[:200]}: not about SFTP")
    if filters.totp_config.enabled and _SSH not in filters.totp_config.protocols:
        findings.leave_out("filters.totp_config", "not about SFTP")


def _password(user: User, *, has_keys: bool, findings: UserFindings) -> str | None:
    """The hash of the password, if it may be used here."""
    if not user.password:
        return None
    if user.filters.require_password_change:
        findings.narrow(
            "filters.require_password_change", "the password is not carried over: it has to be changed"
        )
        return None
    if user.filters.password_expiration > 0 and has_keys:
        findings.narrow(
            "filters.password_expiration", "the password is not carried over: only whole users can expire"
        )
        return None
    try:
        check_hash(user.password)
    except ValueError as error:
        findings.narrow("password", f"is not carried over: the hash {error}")
        return None
    return user.password


def _credentials(
    filters: Filters, keys: list[str], password: str | None, findings: UserFindings
) -> dict[str, Any]:
    """Keys, hash, secret and `methods`: a login proves no less than before."""
    denied = set(filters.denied_login_methods)
    secret = _totp_secret(filters, findings)
    has_totp = filters.totp_config.enabled and _SSH in filters.totp_config.protocols
    if _SSH in filters.two_factor_protocols and not has_totp:
        findings.disable("filters.two_factor_protocols", "a second factor is required, and there is none")
    with_password = not {"password", "password-over-SSH"} & denied or "keyboard-interactive" not in denied
    methods = []
    if "publickey" not in denied:
        methods.append("publickey")
    if with_password:
        methods.append("password+totp" if has_totp else "password")
    if not methods and not {"publickey+password", "publickey+keyboard-interactive"} <= denied:
        methods.append(
            "publickey+totp" if has_totp and "publickey+password" in denied else "publickey+password"
        )
    if not methods:
        findings.disable("filters.denied_login_methods", "every method is denied")
    usable = [each for each in methods if _is_usable(each, keys, password, secret)]
    if methods and not usable and (keys or password):
        findings.disable("filters.denied_login_methods", f"a login needs {' or '.join(methods)}")
    is_default = "publickey" not in denied and with_password and not has_totp
    used = "+".join(usable)
    if password and "password" not in used and not has_totp:
        findings.leave_out("password", "no login over SSH uses it")
    return {
        "authorized_keys": keys or None,
        "password_hash": password if "password" in used else None,
        "totp_secret": secret if "totp" in used else None,
        "methods": None if is_default or not usable else usable,
    }


def _is_usable(method: str, keys: list[str], password: str | None, secret: str | None) -> bool:
    has = {"publickey": bool(keys), "password": bool(password), "totp": bool(secret)}
    return all(has[factor] for factor in method.split("+"))


def _totp_secret(filters: Filters, findings: UserFindings) -> str | None:
    totp = filters.totp_config
    if not totp.enabled or _SSH not in totp.protocols:
        return None
    if totp.secret.status.lower() != "plain":
        findings.narrow(
            "filters.totp_config.secret",
            f"is encrypted ({totp.secret.status or 'unknown'}) and cannot be imported, so the password is not"
            " carried over: make a secret with s3sftp totp-secret",
        )
        return None
    try:
        return checked_secret(totp.secret.payload)
    except ValueError as error:
        findings.narrow("filters.totp_config.secret", f"{error}; so the password is not carried over")
        return None


def _expires(user: User, *, has_keys: bool, has_password: bool) -> str | None:
    """The first moment from which the user cannot log in any more."""
    moments = [user.expiration_date] if user.expiration_date > 0 else []
    if has_password and not has_keys and user.filters.password_expiration > 0:
        moments.append(max(user.last_password_change, 0) + user.filters.password_expiration * _DAY_MS)
    if not moments:
        return None
    try:
        moment = min(_EPOCH + timedelta(milliseconds=min(moments)), _LAST)
    except OverflowError:
        moment = _LAST
    return moment.isoformat().replace("+00:00", "Z")


def _networks(filters: Filters, findings: UserFindings) -> list[str] | None:
    allowed = _cidrs(filters.allowed_ip, "filters.allowed_ip", findings)
    denied = _cidrs(filters.denied_ip, "filters.denied_ip", findings)
    if filters.allowed_ip and filters.denied_ip:
        findings.narrow("filters.denied_ip", "is refused also where allowed_ip has the address")
    if not filters.allowed_ip and not filters.denied_ip:
        return None
    if not filters.allowed_ip:
        allowed = ["0.0.0.0/0", "::/0"]
    return [*allowed, *(f"!{each}" for each in denied)] if allowed else None


def _cidrs(texts: Sequence[str], field: str, findings: UserFindings) -> list[str]:
    found = []
    for index, text in enumerate(texts):
        try:
            if "/" not in text:
                raise ValueError
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            findings.disable(f"{field}[{index}]", f"{text[:60]!r} is no network such as 192.0.2.0/24")
    return list(dict.fromkeys(found))


def _hours(periods: Sequence[TimePeriod], timezone: str, findings: UserFindings) -> list[str] | None:
    """SFTPGo's spans include the minute that they end with, and never pass midnight."""
    hours = []
    for index, each in enumerate(periods):
        if each.others:
            findings.disable(f"filters.access_time[{index}]", "has a field that is unknown here")
        if each.from_ > each.to:
            findings.narrow(f"filters.access_time[{index}]", "ends before it begins, and is left out")
            continue
        minutes = int(each.to[:2]) * 60 + int(each.to[3:]) + 1
        hours.append(
            f"{_DAYS[each.day_of_week]} {each.from_}-{minutes // 60:02}:{minutes % 60:02} {timezone}"
        )
    if periods and not hours:
        findings.disable("filters.access_time", "there is no time at which a login is allowed")
    return hours or None
