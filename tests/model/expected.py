"""What may come of an operation: pure functions from the keys before to every outcome that is right.

Mostly there is exactly one. A key `d/` is the marker of a directory. Where S3 and SFTP disagree, such as a
file below another file, both answers are right as long as nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Files = dict[bytes, bytes]


@dataclass(frozen=True)
class Outcome:
    """Whether the client was told OK, and the keys after it."""

    ok: bool
    files: Files


def kind_of(files: Files, path: bytes) -> str:
    """`file`, `directory` or `nothing`. A name that is both is a file."""
    if path in files:
        return "file"
    return "directory" if has_something_below(files, path) else "nothing"


def has_something_below(files: Files, path: bytes) -> bool:
    return any(key.startswith(path + b"/") for key in files)


def directories_above(path: bytes) -> list[bytes]:
    names = path.split(b"/")
    return [b"/".join(names[:depth]) for depth in range(1, len(names))]


def is_below_a_file(files: Files, path: bytes) -> bool:
    return any(above in files for above in directories_above(path))


def children(files: Files, path: bytes) -> dict[bytes, int | None]:
    """A directory's listing: the size of each file, None for a directory. The root is the empty path."""
    prefix = path + b"/" if path else b""
    found: dict[bytes, int | None] = {}
    for key, data in sorted(files.items()):
        if not key.startswith(prefix):
            continue
        name, below, _ = key.removeprefix(prefix).partition(b"/")
        if name and not below:
            found[name] = len(data)
        elif name:
            found.setdefault(name, None)
    return found


def tree(files: Files) -> dict[bytes, int | None]:
    """All that a client finds by listing from the root on."""
    found: dict[bytes, int | None] = {}
    todo = [b""]
    while todo:
        path = todo.pop()
        for name, size in children(files, path).items():
            below = path + b"/" + name if path else name
            found[below] = size
            if size is None:
                todo.append(below)
    return found


def unmarked(files: Files) -> Files:
    """Without the markers whose names files have."""
    return {key: data for key, data in files.items() if not (key.endswith(b"/") and key[:-1] in files)}


def refused(files: Files) -> Outcome:
    return Outcome(ok=False, files=files)


def _made(files: Files, path: bytes, after: Files) -> list[Outcome]:
    """Below a file S3 can have another and a file system cannot."""
    done = Outcome(ok=True, files=after)
    return [done, refused(files)] if is_below_a_file(files, path) else [done]


def removed(files: Files, path: bytes) -> list[Outcome]:
    if kind_of(files, path) != "file":
        return [refused(files)]
    return [Outcome(ok=True, files={key: data for key, data in files.items() if key != path})]


def directory_made(files: Files, path: bytes) -> list[Outcome]:
    """Only in a directory that is there."""
    above = path.rpartition(b"/")[0]
    if kind_of(files, path) != "nothing" or (above and kind_of(files, above) != "directory"):
        return [refused(files)]
    return [Outcome(ok=True, files=files | {path + b"/": b""})]


def directory_made_again(files: Files, path: bytes) -> list[Outcome]:
    """The directory above, which is gone, is made with it."""
    above = path.rpartition(b"/")[0]
    if kind_of(files, path) != "nothing" or kind_of(files, above) != "nothing":
        return []
    return _made(files, above, files | {above + b"/": b"", path + b"/": b""})


def directory_removed(files: Files, path: bytes) -> list[Outcome]:
    marker = path + b"/"
    below = [key for key in files if key.startswith(marker)]
    without = Outcome(ok=True, files={key: data for key, data in files.items() if key != marker})
    if below != [marker]:
        return [refused(files)]
    return [without, refused(files)] if path in files else [without]


def renamed(files: Files, source: bytes, target: bytes, *, overwrite: bool) -> list[Outcome]:
    was, there = kind_of(files, source), kind_of(files, target)
    if was == "nothing":
        return [refused(files)]
    if source == target:
        return [Outcome(ok=overwrite, files=files)]
    if target.startswith(source + b"/"):
        return [refused(files)]
    if overwrite and was == there == "directory" and _is_empty(files, target):
        rest = {key: data for key, data in files.items() if key != target + b"/"}
        return [Outcome(ok=True, files=_moved(rest, source, target, was))]
    if there != "nothing" and (not overwrite or "directory" in (was, there)):
        return [refused(files)]
    return _made(files, target, _moved(files, source, target, was))


def _is_empty(files: Files, directory: bytes) -> bool:
    marker = directory + b"/"
    return [key for key in files if key.startswith(marker)] == [marker]


def upload_renamed(files: Files, source: bytes, target: bytes, *, overwrite: bool) -> list[Outcome]:
    """Of a name that is only an upload nothing stored changes. Whether it is, the model does not know."""
    there = kind_of(files, target)
    free = overwrite if source == target else there == "nothing" or (overwrite and there == "file")
    possible = kind_of(files, source) == "nothing" and not target.startswith(source + b"/") and free
    return [Outcome(ok=True, files=files)] * possible


def is_within(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")


def _moved(files: Files, source: bytes, target: bytes, kind: str) -> Files:
    if kind == "file":
        rest = {key: data for key, data in files.items() if key not in (source, target)}
        return rest | {target: files[source]}
    inside = source + b"/"
    return {target + k[len(source) :] if k.startswith(inside) else k: data for k, data in files.items()}


def resized(files: Files, path: bytes, size: int) -> list[Outcome]:
    if kind_of(files, path) != "file":
        return [refused(files)]
    return _made(files, path, files | {path: files[path][:size].ljust(size, b"\0")})


def put(files: Files, path: bytes, data: bytes) -> list[Outcome]:
    """A whole new file. Onto a directory: refused, or beside what is in it, of which nothing is lost."""
    outcomes = _made(files, path, files | {path: data})
    return outcomes + [refused(files)] * (kind_of(files, path) == "directory")


def is_half_renamed(before: Files, after: Files, now: Files) -> bool:
    """What a rename that failed may leave: each file at one of its names or at both, never at neither. An
    empty directory that was to give way may have done so."""
    gave_way = {
        key
        for key in before.keys() - now.keys()
        if key.endswith(b"/")
        and _is_empty(before, key[:-1])
        and any(other.startswith(key) for other in after)
    }
    before = {key: data for key, data in before.items() if key not in gave_way}
    moved = {key: data for key, data in before.items() if key not in after}
    arrived = {key: data for key, data in after.items() if before.get(key) != data}
    stayed = {key: data for key, data in before.items() if key in after and key not in arrived}
    if any(now.get(key) != data for key, data in stayed.items()):
        return False
    known = before.items() | after.items()
    if not now.items() <= known:
        return False
    return all(data in [now.get(key) for key in (*moved, *arrived)] for data in moved.values())


@dataclass
class Writing:
    """A file that is being written, and all that it may become."""

    path: bytes
    exclusive: bool = False
    truncate: bool = False
    append: bool = False
    bases: list[bytes | None] = field(default_factory=list)
    """What had the name while it was open; which of them the server builds upon is its own business."""
    steps: list[tuple[int, bytes] | int] = field(default_factory=list)
    """Bytes written at an offset, or a size that was set."""
    failed: bool = False
    """A call has failed, so closing it must."""
    suspect: bool = False
    """Closing it may fail: a fault was about, or it has another name than it was begun with."""
    removed: bool = False
    """Its name was removed: closing it must fail, unless nothing is lost."""
    names: list[bytes] = field(default_factory=list)
    """All that it has had."""

    def __post_init__(self) -> None:
        self.names.append(self.path)

    def move(self, path: bytes) -> None:
        """Its name has changed."""
        self.path = path
        self.names.append(path)
        self.suspect = True

    def saw(self, base: bytes | None) -> None:
        if base not in self.bases:
            self.bases.append(base)

    def closed(self, files: Files) -> list[Outcome]:
        """What CLOSE may come to."""
        if self.removed and not (self.failed or self.steps or self.truncate or self.exclusive):
            return [Outcome(ok=True, files=files)]
        if self.failed or self.removed:
            return [refused(files)]
        outcomes = [each for data in self._results() for each in put(files, self.path, data)]
        if self.exclusive and kind_of(files, self.path) == "file":
            return [refused(files)]
        if not self.truncate and not self.steps and kind_of(files, self.path) == "file":
            outcomes.append(Outcome(ok=True, files=files))
        may_fail = self.suspect or not outcomes or (not self.truncate and len(self.bases) > 1)
        may_fail = may_fail or (self.exclusive and kind_of(files, self.path) != "nothing")
        may_fail = may_fail or any(self._result(base) is None for base in self._possible_bases())
        return outcomes + [refused(files)] * may_fail

    def _possible_bases(self) -> list[bytes | None]:
        return [None] if self.truncate or self.exclusive else self.bases

    def _results(self) -> list[bytes]:
        results = (self._result(base) for base in self._possible_bases())
        return [data for data in results if data is not None]

    def _result(self, base: bytes | None) -> bytes | None:
        """The file on that base; None if there is a byte that nobody ever wrote."""
        data, known = bytearray(base or b""), bytearray(b"\1" * len(base or b""))
        for step in self.steps:
            if isinstance(step, int):
                data, known = data[:step].ljust(step, b"\0"), known[:step].ljust(step, b"\1")
                continue
            offset, new = (len(data), step[1]) if self.append else step
            data, known = data.ljust(offset, b"\0"), known.ljust(offset, b"\0")
            data[offset : offset + len(new)] = new
            known[offset : offset + len(new)] = b"\1" * len(new)
        return None if 0 in known else bytes(data)

    @property
    def length(self) -> int:
        """How long it is on the latest base."""
        size = 0 if self.truncate or not self.bases else len(self.bases[-1] or b"")
        for step in self.steps:
            size = (
                step
                if isinstance(step, int)
                else max(size, (size if self.append else step[0]) + len(step[1]))
            )
        return size
