"""Storages that lose or overwrite something when they move."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from s3sftp.backends import Place, Session
from s3sftp.errors import AlreadyExists, InvalidRequest
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class TakesPrefixesForNames(
    FaultyBackend,
    breaks=(
        "test_renaming_a_directory_touches_no_other_name",
        "test_renaming_a_file_touches_no_other_name",
    ),
):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=overwrite)
        for key in [key for key in self.objects if key.startswith(source.key)]:
            self.objects[target.key + key.removeprefix(source.key)] = self.objects.pop(key)


class RenameOverwrites(FaultyBackend, breaks=("test_renaming_onto_a_file_replaces_it_only_when_told_to",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=True)


class LosesTheTree(
    FaultyBackend,
    breaks=(
        "test_a_renamed_directory_takes_its_tree_along",
        "test_an_empty_directory_can_be_renamed",
    ),
):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=overwrite)
        for key in [key for key in self.objects if key.startswith(target.key + b"/") and key.endswith(b"/")]:
            del self.objects[key]


class RenameCopies(FaultyBackend, breaks=("test_a_renamed_file_is_at_its_new_name_alone",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        before = dict(self.objects)
        await super().rename(source, target, session, overwrite=overwrite)
        self.objects.update(before)


class RenamesOnePiece(FaultyBackend, breaks=("test_a_renamed_file_of_several_chunks_is_whole",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=overwrite)
        if moved := self.objects.get(target.key):
            self.objects[target.key] = replace(moved, pieces=moved.pieces[:1])


class StampsWhatItRenames(FaultyBackend, breaks=("test_a_renamed_file_keeps_the_time_it_was_given",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=overwrite)
        self._bucket.set_mtime(target, self._clock())


class RemovesTheSourceWhateverTheTarget(
    FaultyBackend,
    breaks=(
        "test_renaming_a_file_onto_itself_loses_nothing",
        "test_a_directory_renamed_to_itself_loses_nothing",
    ),
):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        with suppress(InvalidRequest, AlreadyExists):
            await super().rename(source, target, session, overwrite=overwrite)
        self.objects.pop(source.key, None)
        self.drop_below(source)


class ClearsTheTargetFirst(FaultyBackend, breaks=("test_renaming_what_is_missing_leaves_the_target",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if overwrite:
            self.objects.pop(target.key, None)
        await super().rename(source, target, session, overwrite=overwrite)


class RenamesWhereItIs(FaultyBackend, breaks=("test_a_directory_moves_into_another",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if self._bucket.file_info(source).is_dir:
            target = source.parent.child(target.name)
        await super().rename(source, target, session, overwrite=overwrite)


class MergesDirectories(FaultyBackend, breaks=("test_a_directory_never_replaces_anything",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if not self._bucket.file_info(source).is_dir or not self._bucket.exists(target):
            await super().rename(source, target, session, overwrite=overwrite)
            return
        for key in [key for key in self.objects if key.startswith(source.key + b"/")]:
            self.objects[target.key + key.removeprefix(source.key)] = self.objects.pop(key)


class ReplacesDirectories(FaultyBackend, breaks=("test_a_file_never_replaces_a_directory",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if source.key in self.objects:
            self.drop_below(target)
        await super().rename(source, target, session, overwrite=overwrite)


class MovesADirectoryIntoItself(FaultyBackend, breaks=("test_a_directory_does_not_move_into_itself",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if not target.is_within(source):
            await super().rename(source, target, session, overwrite=overwrite)
            return
        for key in [key for key in self.objects if key.startswith(source.key + b"/")]:
            self.objects[target.key + key.removeprefix(source.key)] = self.objects.pop(key)


class MovesAFileBelowItself(FaultyBackend, breaks=("test_a_file_does_not_move_below_itself",)):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if source.key in self.objects and target.is_within(source):
            self.objects[target.key] = self.objects.pop(source.key)
            return
        await super().rename(source, target, session, overwrite=overwrite)
