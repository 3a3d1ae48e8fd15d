"""Splits the text of a public key file into entries of one key each. Pure.

    bytes ──► text             a byte-order mark, UTF-16 (PowerShell's `>`), any line ends
    text  ──► entries          a line of authorized_keys │ a block from BEGIN to END │ a .ppk file

An entry without its end reaches to where the next one surely begins, so that an error in one key costs only
that key. Errors report only the kind of an entry and none of its content, which may be a private key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from asyncssh.packet import PacketDecodeError, SSHPacket

MAX_BYTES = 1 << 20
"""Maximum size of a key file."""
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_INVISIBLE = str.maketrans({"\xa0": " ", "\u200b": None, "\ufeff": None, "\0": None})
"""Characters that word processors and web pages insert between words; none occurs in a key."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_BEGIN = re.compile(r"-{4,5} ?BEGIN ([A-Z0-9 ]+?) ?-{4,5}")
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]+-{4,5}")
_PUTTY = "PuTTY-User-Key-File-"
_PUTTY_END = "Private-MAC:"
_CONTINUED = re.compile(r"(?!AAAA)[A-Za-z0-9+/]+={0,2}")
"""Base64 that does not begin a key."""
_LAST_PART = re.compile(r"((?!AAAA)[A-Za-z0-9+/]+={0,2})[ \t]+\S.*")
"""The same, followed by a comment."""
_TYPE_ALONE = re.compile(
    r"ssh-(ed25519|ed448|rsa)|ecdsa-sha2-nistp\d+|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)
"""A key's type alone on its line: mail programs break lines at blanks."""
KEY_START = re.compile(r"(^|[ \t])(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+[ \t]+AAAA")


class UnusableKey(ValueError):
    """Why an entry is unusable, and the correction, without any of the entry's content."""

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """What should be one key, and the number of its first line."""

    line: int
    text: str
    block: str = ""
    """The label in a block's BEGIN line; `PPK` for PuTTY's format; empty for a line."""
    whole: bool = True
    """Whether a block has its END line."""
    continued: str = ""
    """Base64 on the lines that follow a line: a mail program may have wrapped it."""
    next_line: int = 0
    """The number of the line after this entry and its continuation."""

    @property
    def last_part(self) -> str:
        """Base64 at the beginning of a line, before a possible comment: it may complete the previous key."""
        found = None if self.block else _LAST_PART.fullmatch(self.text)
        return found[1] if found else ""


def leading_name(data: bytes) -> str:
    """The name that a key, a certificate or a signature begins with (RFC 4253, 6.6); empty if there is
    none."""
    try:
        return SSHPacket(data).get_string().decode("ascii", "replace")
    except PacketDecodeError:
        return ""


def decode_key_text(data: bytes) -> str:
    """The text of a key file.

    Bytes that are not UTF-8 occur only in comments, or make the key they are in unusable.

    Raises UnusableKey: if the data is not text.
    """
    if len(data) > MAX_BYTES:
        raise UnusableKey("larger than 1 MiB: no file of keys")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if data[1:2] == b"\0" and data[:1] != b"\0":
        return data.decode("utf-16-le", "replace")
    if data[:1] == b"\0" and data[1:2] != b"\0":
        return data.decode("utf-16-be", "replace")
    if data[:1] == b"\x30" and len(data) > 1 and data[1] >= 0x80:
        raise UnusableKey(
            "binary (DER), not text", "convert it: openssl pkey -pubin -inform DER -in {file} -out {file}.pem"
        )
    return data.decode("utf-8", "replace")


def key_entries(text: str) -> Iterator[KeyEntry]:
    """All entries of the text; blank lines and comments are skipped."""
    lines = [line.translate(_INVISIBLE).strip() for line in _LINE_END.split(text)]
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line or line.startswith("#"):
            at += 1
            continue
        if begin := _BEGIN.fullmatch(line):
            end, whole = _end(lines, at + 1, _END.fullmatch)
            yield KeyEntry(at + 1, "\n".join(lines[at:end]), begin[1], whole)
        elif line.startswith(_PUTTY):
            end, whole = _end(lines, at + 1, lambda each: each.startswith(_PUTTY_END))
            yield KeyEntry(at + 1, "", "PPK", whole)
        else:
            end = at + 1
            if end < len(lines) and _TYPE_ALONE.fullmatch(line) and lines[end].startswith("AAAA"):
                line, end = f"{line} {lines[end]}", end + 1
            begin_of_rest = end
            while end < len(lines) and _CONTINUED.fullmatch(lines[end]):
                end += 1
            yield KeyEntry(at + 1, line, continued="".join(lines[begin_of_rest:end]), next_line=end + 1)
        at = end


def _end(lines: Sequence[str], at: int, ends: Callable[[str], object]) -> tuple[int, bool]:
    """The index after a block's last line, and whether that line is its END line; if not, the next entry
    begins there."""
    for number, line in enumerate(lines[at:], at):
        if ends(line):
            return number + 1, True
        if _BEGIN.fullmatch(line) or KEY_START.search(line) or line.startswith(_PUTTY):
            return number, False
    return len(lines), False
