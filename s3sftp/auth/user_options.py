"""Options of each `[users.NAME]` and `[groups.NAME]` table."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from s3sftp.auth.access_options import (
    NO_QUOTA_OPTIONS,
    AccessOptions,
    MountOptions,
    QuotaOptions,
    with_user,
)
from s3sftp.auth.limits import NO_LIMIT_OPTIONS, LimitOptions
from s3sftp.auth.login_methods import ANY_ONE, ANY_ONE_AND_TOTP, LoginMethods, login_methods
from s3sftp.auth.login_rules import NO_RULES, Expiry, LoginRules, Networks
from s3sftp.auth.passwords import check_hash
from s3sftp.auth.totp import checked_secret
from s3sftp.auth.weekly_hours import WeeklyHours
from s3sftp.config import LocalPath
from s3sftp.config.types import TEXT_OR_LIST
from s3sftp.fs import Mount

_USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")
USER_NAME_PATTERN = rf"^(?!.*\.\.){_USER_NAME.pattern}$"
"""The names of users and groups, for JSON Schema."""
_MAX_PREFIX_CHARS = 900
_PREFIX = WithJsonSchema(
    {
        "type": "string",
        "maxLength": _MAX_PREFIX_CHARS,
        # names separated by single slashes, none of them `.` or `..`, with no braces but those of the user
        "pattern": r"^((?!\.{1,2}(/|$))([^/{}\\\x00-\x1f\x7f]|\{user\})+(/|$))*$",
    }
)
_AT_LEAST_ONE = WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1})


def user_name_problem(name: str) -> str | None:
    """The problem with a user name; None if it is valid.

    Names become part of prefixes, logs and metrics, so separators and escape sequences are not allowed.
    """
    if _USER_NAME.fullmatch(name) and ".." not in name:
        return None
    return (
        "should be 1 to 100 letters, digits, '_', '-', '.', '@' or '+', "
        "beginning with a letter, digit or '_', without '..'"
    )


def _lines(value: object) -> object:
    """Accept a text as the lines of an authorized_keys file. Commas do not split it: key options contain
    them."""
    return tuple(value.splitlines()) if isinstance(value, str) else value


KeyLines = Annotated[tuple[str, ...], BeforeValidator(_lines), TEXT_OR_LIST]
"""Public keys as lines of an authorized_keys file, or blocks."""


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class GroupOptions(AccessOptions):
    """What users have in common, `[groups.NAME]`: a user of the group has these options unless the user's own
    table says otherwise. Tables are merged name by name; lists are replaced."""

    group: Annotated[
        tuple[str, ...],
        BeforeValidator(_one_or_more),
        TEXT_OR_LIST,
    ] = ()
    """The name of a group, or a list of them, whose options apply. Those of a later one override those of an
    earlier one."""
    disabled: bool = False
    """Refuse the user's logins, and end the sessions that are open. The client learns no reason. A disabled
    user needs no key and no password."""
    expires: Expiry | None = None
    """A date such as `2027-01-31`, which ends with that day in UTC, or a time with its zone. From then on the
    user's logins are refused, and the sessions that are open end."""
    networks: Networks | None = None
    """Addresses that the user may log in from, in the patterns of the key option `from`: networks, addresses,
    IPv4 wildcards, and exceptions with `!`, such as `["192.0.2.0/24", "!192.0.2.66"]`. A connection whose
    address the load balancer does not tell is refused. Default: all."""
    hours: tuple[str, ...] = ()
    """When the user may log in, such as `["Mon-Fri 07:00-19:00 Europe/Berlin", "Sat 08:00-12:00"]`, in UTC if
    there is no zone. Sessions that are open may go on. Default: at any time."""
    methods: Annotated[tuple[str, ...], _AT_LEAST_ONE] = ()
    """What a login has to prove: `publickey` (a key or a certificate), `password` and `totp`, or several of
    them joined by `+`, in the order in which they are proven, such as `["publickey+password"]`. Any of the
    combinations is enough. Default: a key, a certificate or a password, and the verification code if there is
    a `totp_secret`."""
    prefix: Annotated[str, _PREFIX] = "{user}/"
    """The part of the storage that the user sees as `/`, below the prefix of the storage; `${user}` or
    `{user}` is replaced by the user's name. Empty: the whole storage. If there are `mounts` and this is not
    set, nothing is stored at `/`, which lists the mounts."""
    mounts: dict[str, MountOptions] = Field(default_factory=dict)
    """Paths that lead to other parts of the storage, each with options of its own."""
    paths: dict[str, AccessOptions] = Field(default_factory=dict)
    """Paths with rules of their own."""
    read_only: bool = False
    """Refuse all operations that change anything, whatever other options say."""
    directories: tuple[str, ...] = ()
    """Directories that are listed even while they are empty, such as `["inbox", "outbox"]`."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Further facts about the user, such as a tenant id; passed to the storage."""
    limits: LimitOptions = Field(default_factory=lambda: NO_LIMIT_OPTIONS)
    """How much the user may do at once and in a second: a table with the options of `[limits]`."""
    quota: QuotaOptions = Field(default_factory=lambda: NO_QUOTA_OPTIONS)
    """How much may be stored below the prefix, such as `{ bytes = "50 GiB", files = 10000 }`. Each mount has
    a quota of its own."""

    @field_validator("methods")
    @classmethod
    def _possible_methods(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        login_methods(texts)  # an empty list is refused: it would be less than what a group asks for
        return texts

    @field_validator("hours")
    @classmethod
    def _possible_hours(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            WeeklyHours.parse(text)
        return texts

    @field_validator("prefix")
    @classmethod
    def _usable_prefix(cls, text: str) -> str:
        if re.search(r"[{}]", with_user(text, "")):
            raise ValueError("should have no braces but those of ${user}")
        if text == "":
            return text
        names = text.removesuffix("/").split("/")
        if any(name in ("", ".", "..") for name in names):
            raise ValueError(
                "should be names separated by single slashes, none of them '.' or '..', none first: a prefix"
                " stays below that of the storage"
            )
        if not text.isprintable() or "\\" in text or len(text) > _MAX_PREFIX_CHARS:
            raise ValueError(
                f"should be at most {_MAX_PREFIX_CHARS} printable characters without backslashes"
            )
        return "/".join(names) + "/"

    def prefix_of(self, user: str) -> str:
        """The prefix for the user with this name."""
        return with_user(self.prefix, user)

    def root_of(self, user: str) -> str | None:
        """What `/` leads to for the user with this name; None: nothing, it lists the mounts."""
        is_listing = self.mounts and "prefix" not in self.model_fields_set
        return None if is_listing else self.prefix_of(user)

    def mounts_of(self, user: str) -> tuple[Mount, ...]:
        """The mounts of the user with this name."""
        if not self.mounts:
            return ()
        return tuple(
            Mount(
                path,
                with_user(mount.prefix, user),
                mount.file,
                mount.rules,
                mount.storage,
                mount.quota.quota,
                mount.role_of(user),
            )
            for path, mount in self.mounts.items()
        )

    @property
    def login_rules(self) -> LoginRules:
        """When and from where the user may log in."""
        if not (self.disabled or self.expires or self.networks or self.hours):
            return NO_RULES
        hours = tuple(map(WeeklyHours.parse, self.hours))
        rules = LoginRules(self.disabled, self.expires, self.networks, hours)
        return NO_RULES if rules == NO_RULES else rules


class UserOptions(GroupOptions):
    """One user, `[users.NAME]`."""

    password_hash: str | None = None
    """An Argon2id hash from `s3sftp hash-password`, or a hash from another system: bcrypt (`$2b$`),
    SHA-crypt (`$6$`, `$5$`), yescrypt (`$y$`), or PBKDF2 as SFTPGo exports it. Without it the user has no
    password."""
    authorized_keys: KeyLines = ()
    """Lines in OpenSSH's authorized_keys format, with the options `from`, `expiry-time` and `cert-authority`
    (with `principals`), or public keys as RFC 4716 or PEM blocks. A key that cannot be used causes a warning
    at start, and the others are used."""
    authorized_keys_file: LocalPath | None = None
    """A file of such keys. It is read again when it changes."""
    totp_secret: SecretStr | None = None
    """The secret of an authenticator app, from `s3sftp totp-secret`, in base32. Once the user has one, a
    login also needs the current verification code, unless `methods` says otherwise."""
    principals: tuple[str, ...] | None = None
    """The principals of which a certificate of a trusted CA (`auth.trusted_user_ca_keys`) needs one to log in
    as this user. Default: the user's own name. An empty list: no certificate of these CAs is accepted."""

    @field_validator("password_hash")
    @classmethod
    def _usable_hash(cls, text: str | None) -> str | None:
        if text is not None:
            check_hash(text)
        return text

    @field_validator("principals")
    @classmethod
    def _usable_principals(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names and not all(name and name.isprintable() and "," not in name for name in names):
            raise ValueError("should be names without commas, as in ssh-keygen -n")
        return names

    @field_validator("totp_secret")
    @classmethod
    def _usable_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        return SecretStr(checked_secret(secret.get_secret_value())) if secret is not None else None

    @model_validator(mode="after")
    def _has_what_methods_need(self) -> UserOptions:
        methods = self.login_methods
        if self.password_hash is None and all("password" in each for each in methods.combinations):
            raise ValueError(f"methods asks for a password ({methods.text}), and there is no password_hash")
        if methods.use("totp") and self.totp_secret is None:
            raise ValueError(f"methods asks for totp ({methods.text}), and there is no totp_secret")
        if self.totp_secret is not None and not methods.use("totp"):
            raise ValueError(f"there is a totp_secret, but methods does not ask for totp ({methods.text})")
        return self

    @property
    def login_methods(self) -> LoginMethods:
        """What a login has to prove."""
        if self.methods:
            return login_methods(self.methods)
        return ANY_ONE_AND_TOTP if self.totp_secret is not None else ANY_ONE
