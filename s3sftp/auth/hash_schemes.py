"""The kinds of password hashes that can be verified, and what each of them may cost.

    $argon2id$                           s3sftp hash-password
    $2a$  $2b$  $2y$                     bcrypt: SFTPGo, htpasswd -B
    $5$  $6$                             SHA-crypt: /etc/shadow
    $y$                                  yescrypt: /etc/shadow
    $pbkdf2-sha1$  -sha256$  -sha512$    SFTPGo, also $pbkdf2-b64salt-sha256$

Weaker ones, of MD5 or without a salt, are refused with advice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import ClassVar, Protocol

from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import Type

_MAX_MEMORY_KIB = 1 << 20
_MAX_PASSES = 64
_MAX_BCRYPT_COST = 15
_MAX_ROUNDS = 2_000_000
_MAKE_ONE = "make one with `s3sftp hash-password`"
_KNOWN = f"should be a hash that begins with $argon2id$, $2b$, $6$, $5$, $y$ or $pbkdf2-; {_MAKE_ONE}"
_WEAK = re.compile(r"\$1\$|\$apr1\$|\{(?:MD5|SHA|SSHA|SHA256|SHA512)\}")
_BCRYPT_MOST_BYTES = 72
_CRYPT_CHARS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class HashCost:
    """What verifying a hash costs: hashes of one cost take equally long."""

    scheme: str
    parameters: tuple[object, ...]


class Scheme(Protocol):
    """One kind of hashes. The texts that it is given, except to `cost`, are those that `cost` accepts."""

    def cost(self, text: str) -> HashCost:
        """What verifying this hash costs.

        Raises ValueError: if the hash is malformed, costs too much, or cannot be verified on this machine.
        """

    def dummy(self, like: str) -> str:
        """A hash of the same cost that no password matches."""

    def fits(self, text: str, password: bytes) -> bool:
        """Whether the password has this hash. Takes as long if it does not. Must run in a thread."""


class _Argon2id:
    def cost(self, text: str) -> HashCost:
        try:
            found = extract_parameters(text)
        except InvalidHashError:
            raise ValueError(_KNOWN) from None
        if found.type is not Type.ID:
            raise ValueError(_KNOWN)
        if found.memory_cost > _MAX_MEMORY_KIB:
            raise ValueError("asks for more than 1 GiB of memory for each login")
        if found.time_cost > _MAX_PASSES:
            raise ValueError(f"asks for more than {_MAX_PASSES} passes for each login")
        parts = (found.hash_len, found.salt_len, found.time_cost, found.memory_cost, found.parallelism)
        return HashCost("argon2id", (found.version, *parts))

    def dummy(self, like: str) -> str:
        found: Parameters = extract_parameters(like)
        head = like.rsplit("$", 2)[0]
        salt, made = secrets.token_bytes(found.salt_len), secrets.token_bytes(found.hash_len)
        return f"{head}${_unpadded(salt)}${_unpadded(made)}"

    def fits(self, text: str, password: bytes) -> bool:
        try:
            return PasswordHasher().verify(text, password)
        except (Argon2Error, InvalidHashError):
            return False


class _Bcrypt:
    """Passwords of more than 72 bytes are refused: bcrypt ignores what follows."""

    _FORM = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
    """The last character of the salt has only two bits."""

    def cost(self, text: str) -> HashCost:
        match = self._FORM.fullmatch(text)
        if match is None or int(match[1]) < 4:
            raise ValueError("should be a bcrypt hash of 60 characters, such as those of `htpasswd -B`")
        if int(match[1]) > _MAX_BCRYPT_COST:
            raise ValueError(
                f"has a bcrypt cost above {_MAX_BCRYPT_COST}, which takes seconds for each login"
            )
        return HashCost("bcrypt", (int(match[1]),))

    def dummy(self, like: str) -> str:
        return f"$2b${like[4:6]}${_random(21)}{secrets.choice('.Oeu')}{_random(30)}."

    def fits(self, text: str, password: bytes) -> bool:
        import bcrypt

        known = bcrypt.hashpw(password[:_BCRYPT_MOST_BYTES], text.encode("ascii"))
        # the identifiers name versions of old implementations; all mean the same for valid text
        same = hmac.compare_digest(known[4:], text.encode("ascii")[4:])
        return same and len(password) <= _BCRYPT_MOST_BYTES


class _Sha2Crypt:
    _FORM = re.compile(
        r"(\$(?:5|6)\$)(?:rounds=(\d{1,9})\$)?([^$:\n\\!*\s]{0,16})\$([./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})"
    )
    _DEFAULT_ROUNDS = 5000
    _LENGTHS: ClassVar = {"$5$": 43, "$6$": 86}

    def cost(self, text: str) -> HashCost:
        match = self._FORM.fullmatch(text)
        if match is None or not text.isascii() or len(match[4]) != self._LENGTHS[match[1]]:
            raise ValueError("should be a whole SHA-crypt hash: $6$SALT$… or $5$SALT$…, as in /etc/shadow")
        rounds = int(match[2] or self._DEFAULT_ROUNDS)
        if rounds < 1000:
            raise ValueError("should have at least 1000 rounds, as every system makes them")
        if rounds > _MAX_ROUNDS:
            raise ValueError(f"asks for more than {_MAX_ROUNDS} rounds for each login")
        _require_system(f"{match[1]}rounds=1000$salt$", "SHA-crypt")
        return HashCost(match[1], (rounds, len(match[3])))

    def dummy(self, like: str) -> str:
        head, salt, made = like.rsplit("$", 2)
        return f"{head}${_random(len(salt))}${_random(len(made))}"

    def fits(self, text: str, password: bytes) -> bool:
        return _fits_crypt(text, password)


class _Yescrypt:
    _FORM = re.compile(r"\$y\$j([7-9A-F])([5T])\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}")
    """Memory and block size as `mkpasswd` makes them, in base 64; larger ones need more than 1 GiB."""

    def cost(self, text: str) -> HashCost:
        match = self._FORM.fullmatch(text)
        if match is None:
            raise ValueError("should be a yescrypt hash as in /etc/shadow: $y$j9T$SALT$…, of cost 1 to 11")
        _require_system("$y$j75$" + "." * 22 + "$", "yescrypt")
        return HashCost("yescrypt", (match[1], match[2]))

    def dummy(self, like: str) -> str:
        return like.rsplit("$", 1)[0] + "$" + _random(43)

    def fits(self, text: str, password: bytes) -> bool:
        return _fits_crypt(text, password)


class _Pbkdf2:
    """As SFTPGo exports them: the salt is text, or base64 in the `b64salt` form."""

    _FORM = re.compile(
        r"\$pbkdf2-(b64salt-)?(sha1|sha256|sha512)\$(\d{1,9})\$([!-#%-~]{1,128})\$([A-Za-z0-9+/=]{1,128})"
    )
    _LENGTHS: ClassVar = {"sha1": 20, "sha256": 32, "sha512": 64}

    def _parts(self, text: str) -> tuple[str, int, bytes, bytes]:
        match = self._FORM.fullmatch(text)
        form = "should be like $pbkdf2-sha256$ROUNDS$SALT$HASH as SFTPGo exports it, with padded base64"
        if match is None:
            raise ValueError(form)
        try:
            salt = base64.b64decode(match[4], validate=True) if match[1] else match[4].encode("ascii")
            made = base64.b64decode(match[5], validate=True)
        except binascii.Error:
            raise ValueError(form) from None
        if not 16 <= len(made) <= self._LENGTHS[match[2]]:
            raise ValueError(f"{form}; this hash has {len(made)} bytes")
        return match[2], int(match[3]), salt, made

    def cost(self, text: str) -> HashCost:
        digest, rounds, salt, made = self._parts(text)
        if rounds < 1000:
            raise ValueError("should have at least 1000 rounds")
        if rounds > _MAX_ROUNDS:
            raise ValueError(f"asks for more than {_MAX_ROUNDS} rounds for each login")
        return HashCost(f"pbkdf2-{digest}", (rounds, len(salt), len(made)))

    def dummy(self, like: str) -> str:
        digest, rounds, salt, made = self._parts(like)
        random = base64.b64encode(secrets.token_bytes(len(made))).decode("ascii")
        return f"$pbkdf2-{digest}${rounds}${_random(len(salt))}${random}"

    def fits(self, text: str, password: bytes) -> bool:
        digest, rounds, salt, made = self._parts(text)
        return hmac.compare_digest(hashlib.pbkdf2_hmac(digest, password, salt, rounds, len(made)), made)


_SCHEMES: tuple[tuple[tuple[str, ...], Scheme], ...] = (
    (("$argon2",), _Argon2id()),
    (("$2a$", "$2b$", "$2y$"), _Bcrypt()),
    (("$5$", "$6$"), _Sha2Crypt()),
    (("$y$",), _Yescrypt()),
    (("$pbkdf2-",), _Pbkdf2()),
)


def scheme_of(text: str) -> Scheme:
    """The kind of a hash, by what it begins with.

    Raises ValueError: if there is none.
    """
    for prefixes, scheme in _SCHEMES:
        if text.startswith(prefixes):
            return scheme
    if _WEAK.match(text):
        raise ValueError(
            "is a hash that can be reversed within hours, of MD5 or without a salt, and is not accepted:"
            f" ask for a new password, and {_MAKE_ONE}"
        )
    raise ValueError(_KNOWN)


def _fits_crypt(text: str, password: bytes) -> bool:
    from s3sftp.auth import system_crypt

    # longer passwords are refused by the library at once; they should take as long as others
    made = system_crypt.crypt(password[: system_crypt.MOST_BYTES], text)
    same = made is not None and hmac.compare_digest(made, text)
    return same and len(password) <= system_crypt.MOST_BYTES


def _require_system(setting: str, name: str) -> None:
    from s3sftp.auth import system_crypt

    if not system_crypt.can_compute(setting):
        raise ValueError(
            f"is a {name} hash, which needs libxcrypt (libcrypt.so.1), and this system lacks it; {_MAKE_ONE}"
        )


def _random(length: int) -> str:
    return "".join(secrets.choice(_CRYPT_CHARS) for _ in range(length))


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")
