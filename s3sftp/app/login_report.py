"""What a trial of a login and its operations says, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

from s3sftp.app.login_trial import TriedCredential, TriedLogin
from s3sftp.app.operation_trial import TriedOperation
from s3sftp.app.options import Configuration, ServerOptions
from s3sftp.app.rule_origins import RuleOrigin, origin_of
from s3sftp.auth import Identity
from s3sftp.auth.login_rules import OPTION_OF
from s3sftp.backends import Place
from s3sftp.fs import VirtualPath
from s3sftp.fs.access_rules import AppliedRules, OnConflict
from s3sftp.fs.rights import ALL_RIGHTS, Right
from s3sftp.telemetry.logs import printable

_MOST_CHARS = 4000
_NOT_CHECKED = (
    "how many connections and sessions there are",
    "verification codes that were used",
    "wrong passwords for the name",
    "the PROXY header of a load balancer",
)
"""What only a running server knows of the moment of a login."""


@dataclass(frozen=True, slots=True)
class KnownBan:
    """What is known about the ban of an address."""

    state: Literal["banned", "none", "unknown"]
    reason: str | None = None
    """What the address has done; or why it is unknown whether it is banned."""
    until: str | None = None
    """The end of the ban, in ISO 8601."""


@dataclass(frozen=True)
class LoginReport:
    """The result of a trial, with what the configuration says about it."""

    configuration: Configuration
    login: TriedLogin
    address: str
    time: datetime
    operations: Sequence[TriedOperation]
    ban: KnownBan

    @property
    def is_all_right(self) -> bool:
        """Whether the login and all operations would be accepted, as far as that is known."""
        allowed = all(each.state == "allowed" for each in self.operations)
        return self.login.identity is not None and allowed and self.ban.state != "banned"

    def lines(self) -> list[str]:
        """For people."""
        login = self.login
        source = f", of {login.source}" if login.source else ": no source has this user"
        place = f" ({self._where()})" if self._where() else ""
        rows = [
            ("user", f"{login.user}{source}{place}", ""),
            ("from", f"{self.address} at {self.time:%Y-%m-%d %H:%M:%S} UTC", ""),
            ("ban", self._of_ban(), ""),
            *self._of_credentials(),
            ("login", self._verdict, ""),
        ]
        if login.identity is not None:
            rows += self._of_rules(login.identity)
        for each in self.operations:
            rows += self._of_operation(each)
        rows.append(("note", f"not checked: {', '.join(_NOT_CHECKED)}", ""))
        width = max(len(name) for name, _, _ in rows)
        lines = []
        for name, text, more in rows:
            lines.append(
                printable(f"{name:{width}}  {text}{f' {more}' if more else ''}".rstrip(), _MOST_CHARS)
            )
        return lines

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        login = self.login
        found: dict[str, Any] = {
            "user": login.user,
            "accepted": login.identity is not None,
            "source": login.source,
            "where": self._where(),
            "from": self.address,
            "ban": asdict(self.ban),
            "at": self.time.isoformat(timespec="seconds"),
            "credentials": [self._credential(each) for each in login.tried],
            "proven": list(login.proven),
            "missing": ["+".join(each) for each in login.missing],
            "rules": [],
            "operations": [self._operation(each) for each in self.operations],
            "not_checked": list(_NOT_CHECKED),
        }
        if login.identity is not None:
            found["attributes"] = sorted(login.identity.attributes)  # the values may be secrets
            found["rules"] = list(rules_of(self.configuration.options, login.identity))
        return found

    @property
    def _verdict(self) -> str:
        if self.login.identity is None:
            return f"refused{self._missing}"
        is_banned = self.ban.state == "banned"
        return "accepted, once the address is not banned any more" if is_banned else "accepted"

    def _of_ban(self) -> str:
        ban = self.ban
        if ban.state == "banned":
            return f"until {ban.until} ({ban.reason}): `s3sftp bans lift {self.address}` ends it"
        return "none" if ban.state == "none" else f"unknown: {ban.reason}"

    @property
    def _missing(self) -> str:
        missing = self.login.missing
        if not missing:
            return ""
        return f": still missing: {' or '.join('+'.join(each) for each in missing)}"

    # ── credentials ─────────────────────────────────────────────────────────────────────────────────

    def _of_credentials(self) -> Iterator[tuple[str, str, str]]:
        for each in self.login.tried:
            shown = f" {each.shown}" if each.shown else ""
            reason = f": {each.reason}" if each.reason else ""
            yield each.name, f"{each.state}{shown}{reason}", self._place_of(each)
            for key in each.user_keys:
                yield "", f"  the user has {key}", ""
        if self.login.source is None:
            near = get_close_matches(self.login.user, self.configuration.logins.accounts, n=3)
            if near:
                yield "", f"  close to it: {', '.join(near)}", ""

    def _place_of(self, tried: TriedCredential) -> str:
        option = OPTION_OF.get(tried.reason or "")
        where = self._where_of(option) if option else None
        return f"({option}, {where})" if where else f"({option})" if option else ""

    def _credential(self, tried: TriedCredential) -> dict[str, Any]:
        option = OPTION_OF.get(tried.reason or "")
        where = self._where_of(option) if option else None
        return {**asdict(tried), "user_keys": list(tried.user_keys), "option": option, "where": where}

    # ── mounts and rights ───────────────────────────────────────────────────────────────────────────

    def _of_rules(self, identity: Identity) -> Iterator[tuple[str, str, str]]:
        rows = list(rules_of(self.configuration.options, identity))
        width = max(len(row["path"]) for row in rows)
        for row in rows:
            parts = [", ".join(row["rights"]) if len(row["rights"]) < len(ALL_RIGHTS) else "all rights"]
            parts[0] = parts[0] or "no rights"
            parts += [f"{name}: {', '.join(row[name])}" for name in ("allow", "deny", "hide") if row[name]]
            if row["max_file_bytes"]:
                parts.append(f"at most {row['max_file_bytes']} bytes")
            if row["on_conflict"] != OnConflict.OVERWRITE:
                parts.append(f"on conflict: {row['on_conflict']}")
            if row["role"]:
                parts.append(f"role: {row['role']}")
            leads = f"{row['storage']}  " if row["storage"] else ""
            text = "lists the mounts" if row["kind"] == "listing" else f"{leads}{'; '.join(parts)}"
            yield row["kind"], f"{row['path']:{width}}  {text}", ""

    # ── operations ──────────────────────────────────────────────────────────────────────────────────

    def _of_operation(self, tried: TriedOperation) -> Iterator[tuple[str, str, str]]:
        origin = self._origin(tried)
        text = f"{tried.operation.text}  {tried.state}"
        if tried.stored_as is not None:
            text += f", as {tried.stored_as}"
        if tried.state != "allowed":
            text += f": {tried.rule or tried.reason}"
            if origin is not None:
                text += f" ({origin.option}{f', {origin.where}' if origin.where else ''})"
            elif tried.detail:
                text += f" ({tried.detail})"
        yield "try", text, ""
        if origin is not None:
            yield "", f"  → {origin.advice}", ""

    def _operation(self, tried: TriedOperation) -> dict[str, Any]:
        origin = self._origin(tried)
        return {
            "operation": tried.operation.text,
            "state": tried.state,
            "reason": tried.reason,
            "rule": tried.rule,
            "detail": tried.detail,
            "stored_as": tried.stored_as,
            "option": origin.option if origin else None,
            "where": origin.where if origin else None,
            "advice": origin.advice if origin else None,
        }

    def _origin(self, tried: TriedOperation) -> RuleOrigin | None:
        if tried.rule is None or self.login.identity is None:
            return None
        return origin_of(tried.rule, self.login.identity, tried.operation.paths, self._where_of)

    # ── where it was written ────────────────────────────────────────────────────────────────────────

    @cached_property
    def _is_configured(self) -> bool:
        return self.login.user in self.configuration.tables.users

    def _where(self) -> str | None:
        """Where the user was written; None for users of other sources."""
        return self.configuration.tables.where(self.login.user) if self._is_configured else None

    def _where_of(self, *path: str) -> str | None:
        """Where an option of the user was written; None for a default."""
        layers = self.configuration.tables.layers_of(self.login.user) if self._is_configured else None
        if layers is None or layers.source(path[0]) is None:
            return None
        return layers.where(*path)


def rules_of(options: ServerOptions, identity: Identity) -> Iterator[dict[str, Any]]:
    """What a user may do where, and where it leads: the mounts, and the paths with rules of their own."""
    tree = identity.tree()
    mounted = {mount.path: mount for mount in tree.mounted}
    below = [VirtualPath.parse(path.encode()) for path, _ in identity.paths]
    for path in sorted({VirtualPath(), *mounted, *below}, key=lambda each: each.names):
        mount = mounted.get(path)
        role = mount.role.arn if mount is not None and mount.role is not None else None
        if mount is not None:
            kind = "file" if mount.file else "mount"
            storage = _storage(options, mount.place, mount.file)
        elif path.is_root:
            kind, storage = "listing", None  # of the mounts: nothing is stored there
        else:
            kind, storage = "path", None
        leads = {"kind": kind, "path": str(path), "storage": storage, "role": role}
        yield {**leads, **_shown(tree.rules.at(path))}


def _storage(options: ServerOptions, place: Place, is_file: bool) -> str:
    key = place.key
    name = key.decode("utf-8", "backslashreplace") + ("/" if key and not is_file else "")
    s3 = options.of_storage(place.storage).s3
    if options.backend == "s3" and s3 is not None:
        return f"s3://{s3.bucket}/{s3.prefix}{name}"
    return f"{options.backend}:/{name}"


def _shown(rules: AppliedRules) -> Mapping[str, Any]:
    return {
        "rights": [right.value for right in Right if right in rules.rights],
        "allow": list(rules.allow),
        "deny": list(rules.deny),
        "hide": list(rules.hide),
        "max_file_bytes": rules.max_file_bytes,
        "on_conflict": rules.on_conflict.value,
    }
