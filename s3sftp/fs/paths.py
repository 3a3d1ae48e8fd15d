"""What the user sees as a path: absolute, normalized, inside the user's tree, by construction."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3sftp.errors import InvalidRequest

MAX_PATH_BYTES = 4096
"""Longest path a client may send; Linux's PATH_MAX."""


@dataclass(frozen=True, slots=True)
class VirtualPath:
    """An absolute path of the user's tree. `VirtualPath.parse` is the only way in for what clients send."""

    names: tuple[bytes, ...] = ()
    directory_only: bool = field(default=False, compare=False)
    """Whether it was written with `/` or `/.` at its end: then no file is meant (POSIX path resolution)."""

    @classmethod
    def parse(cls, raw: bytes) -> VirtualPath:
        """Normalize what a client sent: `.`, `..` and doubled slashes go; `..` of the root is the root.

        A relative path is taken from the root, which is every user's home. Idempotent. Raises
        InvalidRequest for NUL and for more than `MAX_PATH_BYTES`.
        """
        if len(raw) > MAX_PATH_BYTES:
            raise InvalidRequest(f"path too long ({len(raw)} bytes, at most {MAX_PATH_BYTES})")
        if b"\0" in raw:
            raise InvalidRequest("path has a NUL byte")
        names: list[bytes] = []
        for name in raw.split(b"/"):
            if name == b"..":
                del names[-1:]
            elif name not in (b"", b"."):
                names.append(name)
        return cls(tuple(names), directory_only=name in (b"", b"."))

    def __bytes__(self) -> bytes:
        return b"/" + b"/".join(self.names)

    def __str__(self) -> str:
        """For logs: bytes that are not UTF-8 are shown as `\\xNN`."""
        return bytes(self).decode("utf-8", "backslashreplace")

    @property
    def text(self) -> str:
        """For programs: bytes that are not UTF-8 are lone surrogates, as `os.fsencode` understands."""
        return bytes(self).decode("utf-8", "surrogateescape")

    @property
    def is_root(self) -> bool:
        return not self.names

    @property
    def parent(self) -> VirtualPath:
        """The directory it is in; the root is its own parent."""
        return VirtualPath(self.names[:-1])

    @property
    def name(self) -> bytes:
        return self.names[-1] if self.names else b"/"

    def is_within(self, other: VirtualPath) -> bool:
        """Whether it is `other` or below it, by whole names."""
        return self.names[: len(other.names)] == other.names


ROOT = VirtualPath()
