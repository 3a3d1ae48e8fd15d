"""Parses and normalizes the paths that clients send. A parsed path cannot leave the user's tree."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3sftp.errors import InvalidRequest

MAX_PATH_BYTES = 4096
"""Maximum length of a path that a client sends, in bytes; Linux's PATH_MAX."""


@dataclass(frozen=True, slots=True)
class VirtualPath:
    """An absolute, normalized path in the user's tree. `VirtualPath.parse` makes it of what clients send."""

    names: tuple[bytes, ...] = ()
    directory_only: bool = field(default=False, compare=False)
    """Whether the path ended in `/` or `/.`, so that it cannot name a file (POSIX path resolution)."""

    @classmethod
    def parse(cls, raw: bytes) -> VirtualPath:
        """Normalize a client's path: resolve `.`, `..` and doubled slashes. `..` of the root is the root.

        A relative path starts at the root, which is every user's home. Idempotent. Raises InvalidRequest: if
        the path contains NUL or is longer than `MAX_PATH_BYTES`.
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
        """The path for logs: bytes that are not UTF-8 are escaped as `\\xNN`."""
        return bytes(self).decode("utf-8", "backslashreplace")

    @property
    def text(self) -> str:
        """The path for programs: bytes that are not UTF-8 become lone surrogates, as for `os.fsencode`."""
        return bytes(self).decode("utf-8", "surrogateescape")

    @property
    def is_root(self) -> bool:
        return not self.names

    @property
    def parent(self) -> VirtualPath:
        """The directory that contains the path. The root is its own parent."""
        return VirtualPath(self.names[:-1])

    @property
    def name(self) -> bytes:
        return self.names[-1] if self.names else b"/"

    def is_within(self, other: VirtualPath) -> bool:
        """Whether the path is `other` or below it, comparing whole names."""
        return self.names[: len(other.names)] == other.names


ROOT = VirtualPath()
