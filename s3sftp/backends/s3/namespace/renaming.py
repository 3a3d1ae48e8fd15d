"""Renames files and trees by copying and then deleting. Nothing is deleted before every copy exists.

    file      HEAD source, LIST target (unless it may be replaced) ─► Copy ─► Delete
    tree      LIST all below ─► PUT each marker ─► Copy each, a few at once ─► LIST again ─► DeleteObjects

A failure in between leaves both, never neither. The same rename, sent again, finishes it: a target that the
first attempt copied from the source is no obstacle (`interrupted_rename`). What was added below the source
during the copy stays there, and the rename reports it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from s3sftp.backends.contract import FileInfo, Place, Session
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.keys import MAX_KEY_BYTES, KeyMapping
from s3sftp.backends.s3.metadata.cache import CachedMetadata, Head, MetadataCache
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.metadata.mtime_text import mtime_of
from s3sftp.backends.s3.namespace.directories import DirectoryMarkers
from s3sftp.backends.s3.namespace.interrupted_rename import InterruptedRenames
from s3sftp.backends.s3.namespace.listing import ListedObject, list_tree
from s3sftp.backends.s3.namespace.name_conflicts import NameConflicts
from s3sftp.backends.s3.namespace.removing import Remover
from s3sftp.backends.s3.write.completion import CompletedWrite
from s3sftp.backends.s3.write.copying import ObjectCopier
from s3sftp.backends.s3.write.uploads import UploadOperations
from s3sftp.errors import AlreadyExists, Changed, InvalidRequest, NotFound, Unsupported
from s3sftp.runtime.concurrency import for_each


class Renamer:
    """Moves files and trees, and copies files."""

    def __init__(
        self,
        client: S3Client,
        keys: KeyMapping,
        cache: MetadataCache,
        lookup: Lookup,
        writing: UploadOperations,
        copying: ObjectCopier,
        removing: Remover,
        directories: DirectoryMarkers,
        hiding: NameConflicts,
    ) -> None:
        self._client = client
        self._keys = keys
        self._cache = cache
        self._lookup = lookup
        self._writing = writing
        self._copying = copying
        self._removing = removing
        self._directories = directories
        self._hiding = hiding
        self._unfinished = InterruptedRenames(client)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        """Move a file or a tree.

        Raises NotFound: if the source does not exist. Raises AlreadyExists: if the target exists, unless
        `overwrite` allows to replace a file. Raises InvalidRequest: if the root would move, or a directory
        into itself. Raises Changed: if the source changes meanwhile.
        """
        if source.is_root or target.is_root:
            raise InvalidRequest("the root cannot be renamed")
        known = None if source == target else self._lookup.known_file(self._keys.key_of(source), session)
        info = await self._lookup.info(source, session) if known is None else known.info
        if source == target:
            if info.is_dir or not overwrite:
                raise AlreadyExists
            return
        if target.is_within(source):
            raise InvalidRequest("cannot move a directory into itself")
        await self._hiding.refuse_below_file(target, session)
        if info.is_dir:
            await self._move_tree(source, target, session)
        elif not await self._move_file(source, target, info, known, session, overwrite=overwrite):
            self._cache.forget(self._keys.key_of(source))
            await self.rename(source, target, session, overwrite=overwrite)
            return
        await self._directories.removed_below(source, session)

    async def copy(self, source: Place, target: Place, session: Session, version: str | None) -> FileInfo:
        """Copy a file and replace the target.

        Raises NotFound: if the source does not exist. Raises IsADirectory: if it is a directory. Raises
        Changed: if it has another version.
        """
        await self._hiding.refuse(target, session)
        old, key = self._keys.key_of(source), self._keys.key_of(target)
        known = self._lookup.known_file(old, session)
        if known is not None and known.info.version == version:
            info = known.info
        else:
            info = await self._lookup.file(source, session)
            if version not in (None, info.version):
                raise Changed
        with self._cache.changing(key, session) as change:
            completed = await self._copying.object(old, key, info)
            change.left_something()
        return replace(info, mtime=completed.written_at, version=completed.version)

    async def _move_file(
        self,
        source: Place,
        target: Place,
        info: FileInfo,
        known: CachedMetadata | None,
        session: Session,
        *,
        overwrite: bool,
    ) -> bool:
        """Move a file.

        False, and nothing is done, if `info` comes from the cache and the source is no longer that.
        """
        old, new = self._keys.key_of(source), self._keys.key_of(target)
        if overwrite and await self._hiding.hides_directory(target, session):
            raise AlreadyExists
        present = None if overwrite else await self._present(target, session)
        if present is not None and known is not None:
            return False  # only its present metadata can tell whether it is a copy of the source
        copied = await self._is_copied(old, new, info, present)
        with (
            self._cache.changing(old, session, beside=new),
            self._cache.changing(new, session) as change,
        ):
            change.left_something()
            if not copied:
                try:
                    completed = await self._copying.object(old, new, info, exclusive=not overwrite)
                except (Changed, NotFound):
                    if known is None:
                        raise
                    return False
                if known is not None and known.answers and known.head is not None:
                    moved = _moved(info, known.head, completed)
                    change.left(*moved, time_unknown=mtime_of(known.head["Metadata"]) is None)
            await self._removing.source(old, info.version)
        return True

    async def _is_copied(self, old: str, new: str, info: FileInfo, present: FileInfo | None) -> bool:
        """Whether an earlier attempt has copied the source. Raises AlreadyExists: if another file exists."""
        if present is None:
            return False
        if present.is_dir or present.size != info.size or not await self._unfinished.is_copy(old, new):
            raise AlreadyExists
        return True

    async def _move_tree(self, source: Place, target: Place, session: Session) -> None:
        old, new = self._keys.prefix_of(source), self._keys.prefix_of(target)
        present = await self._present(target, session)
        if present is not None and not present.is_dir:
            raise AlreadyExists
        lines = await self._all_below(old)
        missing = lines
        if present is not None:
            try:
                there = await self._found_below(new)
            except Unsupported as error:  # a rename never copies that many objects
                raise AlreadyExists from error
            missing = await self._unfinished.missing(old, new, lines, there)
        _check_lengths(new, old, lines)
        self._unfinished.begun(old, new)
        with (
            self._cache.changing(new.removesuffix("/"), session, tree=True) as change,
            self._cache.changing(old.removesuffix("/"), session, tree=True),
        ):
            for step in _steps(missing):
                await for_each(
                    step,
                    lambda line: self._copy_line(line, new + line.key.removeprefix(old)),
                    self._client.options.parallel_copies,
                )
            change.left(FileInfo.directory())
            await self._remove_copied(old, lines)
        self._unfinished.ended(old, new)

    async def _remove_copied(self, old: str, lines: list[ListedObject]) -> None:
        """Remove from the source what was copied and has not changed since.

        Raises Changed: if there is more.
        """
        copied = {line.key: line for line in lines}
        present = await self._found_below(old)
        same = [line.key for line in present if _is_same(line, copied.get(line.key))]
        changed = len(same) < len(present)
        await self._removing.tree(old, same, keep_directories=changed)
        if changed:
            raise Changed("copied, but the source was changed meanwhile; what is new stays there")

    async def _copy_line(self, line: ListedObject, target: str) -> None:
        if line.is_marker:  # some stores cannot copy a marker
            await self._writing.replace_marker(target)
        else:
            await self._copying.object(line.key, target, FileInfo.file(line.size, None, line.version))
        self._hiding.made(target)

    async def _all_below(self, prefix: str) -> list[ListedObject]:
        lines = await self._found_below(prefix)
        if not lines:
            raise NotFound
        return lines

    async def _found_below(self, prefix: str) -> list[ListedObject]:
        lines: list[ListedObject] = []
        async with aclosing(list_tree(self._client, prefix)) as found:
            async for line in found:
                lines.append(line)
                if len(lines) > self._client.options.max_tree_objects:
                    raise Unsupported("directory has too many files to be renamed")
        return lines

    async def _present(self, target: Place, session: Session) -> FileInfo | None:
        try:
            return await self._lookup.info(target, session, is_unlikely=True)
        except NotFound:
            return None


def _moved(info: FileInfo, head: Head, completed: CompletedWrite) -> tuple[FileInfo, Head]:
    """Describe the copy of an object whose metadata is known."""
    mtime = mtime_of(head["Metadata"])
    mtime = completed.written_at if mtime is None else mtime
    moved = FileInfo.file(info.size, mtime, completed.version, info.mode)
    return moved, {**head, "ETag": completed.version}


def _steps(lines: Sequence[ListedObject]) -> Iterator[list[ListedObject]]:
    """Yield what may be copied at once: the markers level by level, then all files.

    Stores with real directories behind the keys create one for a file whose directory does not exist yet. If
    that happens while the directory's marker is being written, the marker may be lost: with SeaweedFS in 1 of
    200 trees.
    """
    markers = sorted((line for line in lines if line.is_marker), key=_depth)
    for _, level in itertools.groupby(markers, _depth):
        yield list(level)
    yield [line for line in lines if not line.is_marker]


def _depth(line: ListedObject) -> int:
    return line.key.count("/")


def _is_same(line: ListedObject, copied: ListedObject | None) -> bool:
    """Whether a key still holds what was copied. All markers are alike."""
    return copied is not None and (line.is_same(copied) or (line.is_marker and copied.is_marker))


def _check_lengths(new: str, old: str, lines: list[ListedObject]) -> None:
    """Check, before anything is copied, that every target key fits."""
    if any(len((new + line.key.removeprefix(old)).encode("utf-8")) > MAX_KEY_BYTES for line in lines):
        raise InvalidRequest(f"path too long (max {MAX_KEY_BYTES} bytes of key)")
