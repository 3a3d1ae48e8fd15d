"""The tokens that open the admin API: one in a line of a file, compared in constant time.

# the one that is on its way out, and the next one
ops-2027   bAf0…
ops-2028   77xQ…
dashboard  k3Zp…   read-only
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIN_CHARACTERS = 32
MAX_TOKENS = 100
_MAX_BYTES = 64 << 10
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""What a bearer token may consist of (RFC 6750, 2.1), nearly."""
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_READ_ONLY = "read-only"
_FORM = "should be TOKEN, NAME TOKEN or NAME TOKEN read-only"


class BadTokens(Exception):
    """A file of tokens that cannot be used. The text says where and why, and nothing of a token."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token, and what it may."""

    name: str
    secret: str = field(repr=False)
    read_only: bool = False


def parse_tokens(text: str) -> tuple[ApiToken, ...]:
    """The tokens of a file.

    Raises BadTokens: if a line is none, or there is none at all.
    """
    tokens: list[ApiToken] = []
    for number, line in enumerate(text.splitlines(), 1):
        if words := line.split("#", 1)[0].split():
            try:
                tokens.append(_token(words))
            except BadTokens as problem:
                raise BadTokens(f"line {number}: {problem}") from None
    if not tokens:
        raise BadTokens(f"there is no token: a line {_FORM}")
    if len(tokens) > MAX_TOKENS:
        raise BadTokens(f"{len(tokens)} tokens are more than {MAX_TOKENS}")
    if len({token.secret for token in tokens}) < len(tokens):
        raise BadTokens("a token is there twice")
    return tuple(tokens)


def _token(words: Sequence[str]) -> ApiToken:
    if len(words) == 1:
        name, secret = "admin", words[0]
    elif len(words) == 2 or (len(words) == 3 and words[2] == _READ_ONLY):
        name, secret = words[:2]
    else:
        raise BadTokens(_FORM)
    if not _NAME.fullmatch(name):
        raise BadTokens("the name should be 1 to 64 letters, digits, '.', '_', '@' or '-'")
    if len(secret) < MIN_CHARACTERS:
        raise BadTokens(
            f"the token has {len(secret)} characters and should have {MIN_CHARACTERS} or more:"
            " `openssl rand -hex 32` makes one"
        )
    if not _TOKEN.fullmatch(secret):
        raise BadTokens("the token should consist of letters, digits and ._~+/=-")
    return ApiToken(name, secret, len(words) == 3)


def read_tokens(file: Path) -> tuple[ApiToken, ...]:
    """The tokens in a file. Blocking.

    Raises BadTokens: if it cannot be read or used.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise BadTokens(error.strerror or str(error)) from None
    if len(data) > _MAX_BYTES:
        raise BadTokens(f"the file has more than {_MAX_BYTES >> 10} KiB")
    try:
        return parse_tokens(data.decode("ascii"))
    except UnicodeDecodeError:
        raise BadTokens("the file has characters that are not ASCII") from None


def find_token(tokens: Sequence[ApiToken], given: str) -> ApiToken | None:
    """The token that is given. Takes the same time whichever it is, and however much of it is right."""
    found = None
    wanted = given.encode("utf-8", "surrogateescape")
    for token in tokens:
        if hmac.compare_digest(token.secret.encode("ascii"), wanted):
            found = token
    return found
