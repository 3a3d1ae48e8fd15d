"""Chains the lines of the audit log, so that a line that was changed, removed or inserted is found.

    {"time": …, …, "chain": "9c1f…", "sequence": 16, "previous": "sha256:41d0…", "hash": "sha256:77aa…"}
    {"time": …, …, "chain": "9c1f…", "sequence": 17, "previous": "sha256:77aa…", "hash": "sha256:02c9…"}

`hash` is that of the line's own bytes from its beginning up to `, "hash"`, which include the hash of the line
before. With a key it is an HMAC (RFC 2104): whoever has not got the key cannot compute it. `previous` of the
first line of a chain is empty. docs/decisions/0045 has the reasons.

This module is pure; `audit_chain_file` keeps the chain of a file, `audit_verification` checks one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

FIELDS = frozenset({"chain", "sequence", "cut_off", "previous", "hash"})
"""The fields that a chain adds to a line. No event has a field of these names."""
MIN_KEY_BYTES = 32
_PLAIN, _KEYED = "sha256", "hmac-sha256"
_HASH = rb"(?:hmac-)?sha256:[0-9a-f]{64}"
_ENDING = re.compile(
    rb', "chain": "(?P<chain>[0-9a-f]{16})", "sequence": (?P<sequence>[1-9][0-9]{0,17})'
    rb'(?:, "cut_off": "(?P<cut_off>[0-9a-f]{64})")?'
    rb', "previous": "(?P<previous>(?:' + _HASH + rb')?)", "hash": "(?P<hash>' + _HASH + rb')"}\Z'
)
"""What a chained line ends in. A client's text cannot contain it, because JSON escapes its quotes."""
_LONGEST_ENDING = 400
HASH = re.compile(_HASH.decode())


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a chain: that of a line."""

    chain: str
    sequence: int
    hash: str
    """The hash of the line, with its algorithm; empty before the first line."""


@dataclass(frozen=True, slots=True)
class ChainedLine:
    """What a line says about its place, which need not be true."""

    at: Position
    previous: str
    cut_off: str | None
    """SHA-256 of the beginning of a line that stood at the end of the file, left by a crash."""
    hashed: bytes
    """The bytes that the hash is of."""


def link(line: bytes, after: Position, key: bytes | None, cut_off: bytes = b"") -> tuple[bytes, Position]:
    """The line, an object of JSON and a line feed, as the next one of a chain, and its position.

    `cut_off`: the beginning of a line that stands before it, which a crash has left.
    """
    fragment = f', "cut_off": "{hashlib.sha256(cut_off).hexdigest()}"' if cut_off else ""
    sequence = after.sequence + 1
    ending = f', "chain": "{after.chain}", "sequence": {sequence}{fragment}, "previous": "{after.hash}"'
    hashed = line.removesuffix(b"}\n") + ending.encode("ascii")
    position = Position(after.chain, sequence, hash_of(hashed, key))
    return hashed + f', "hash": "{position.hash}"}}\n'.encode("ascii"), position


def hash_of(data: bytes, key: bytes | None) -> str:
    """The hash as it stands in a line, with its algorithm."""
    if key is None:
        return f"{_PLAIN}:{hashlib.sha256(data).hexdigest()}"
    return f"{_KEYED}:{hmac.digest(key, data, 'sha256').hex()}"


def is_keyed(hash_: str) -> bool:
    """Whether the hash needs a key."""
    return hash_.startswith(f"{_KEYED}:")


def read_line(line: bytes) -> ChainedLine | None:
    """What a line, without its line feed, says about its place. None if it says nothing."""
    found = _ENDING.search(line, max(0, len(line) - _LONGEST_ENDING))
    if found is None:
        return None
    text = {name: value.decode() for name, value in found.groupdict().items() if value is not None}
    return ChainedLine(
        Position(text["chain"], int(text["sequence"]), text["hash"]),
        text["previous"],
        text.get("cut_off"),
        line[: found.start("hash") - len(b', "hash": "')],
    )


def is_genuine(line: ChainedLine, keys: Sequence[bytes]) -> bool:
    """Whether the hash is that of the line's bytes, with one of the keys if it needs one."""
    candidates: Sequence[bytes | None] = keys if is_keyed(line.at.hash) else [None]
    return any(hmac.compare_digest(hash_of(line.hashed, key), line.at.hash) for key in candidates)
