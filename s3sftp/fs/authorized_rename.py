"""Authorizes a rename: resolves both paths, and checks the rules of everything that moves.

Where no rule depends on what moves, this asks the storage nothing.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import AlreadyExists, Busy, PermissionDenied
from s3sftp.fs.access import Access
from s3sftp.fs.moves import Move
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.own_files import OwnFile
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import Right


@dataclass(frozen=True, slots=True)
class AuthorizedRename:
    """A rename that the rules allow."""

    source: VirtualPath
    target: VirtualPath
    origin: Place
    goal: Place
    named: VirtualPath
    """The target that the client gave."""
    is_own: bool
    """Whether it is allowed only because this session has just stored the file."""
    replaces: bool
    """Whether a file, or an empty directory, at the target may be replaced."""
    keeps_both: bool
    """Whether the file gets another name if the target is taken."""
    wanted_to_replace: bool
    """Whether the client asked for that."""


async def authorize_rename(
    access: Access,
    backend: CompleteBackend,
    session: Session,
    source: VirtualPath,
    target: VirtualPath,
    *,
    overwrite: bool,
) -> AuthorizedRename:
    """Authorize a rename. A fixed directory is no target.

    Raises PermissionDenied, NotFound, NoSpace: if the rules refuse it; AlreadyExists: if the target is fixed,
    or is a single file that is mounted and the source is a directory.
    """
    mounts, move = access.mounts, Move(access.mounts, source, target)
    own = await _own_that_may_move(access, move)
    origin = mounts.place(source, Right.RENAME) if own is None else own.place
    if mounts.is_fixed(target):
        raise AlreadyExists
    goal = mounts.place_to_store(target)
    replaces = move.may_replace(overwrite=overwrite)
    if not (move.may_create or replaces):
        move.target_rules.require(Right.WRITE)
    is_dir = False
    if move.is_about_what_moves and source != target:
        # nothing: at most an upload that is still open
        info = own.info if own is not None else await access.info(origin) or FileInfo.file(0)
        is_dir = info.is_dir
        if is_dir and mounts.is_mounted_file(target):
            raise AlreadyExists
        move.refuse_gains(is_dir=is_dir, is_own=own is not None)
        move.refuse_entry((), is_dir=is_dir, size=info.size)
        if is_dir and move.looks_inside:
            await _refuse_entries(move, backend, origin, (), session)
    if not move.may_create and not await access.is_file(goal):
        move.target_rules.require(Right.WRITE)
    return AuthorizedRename(
        source if own is None else own.path,
        target,
        origin,
        goal,
        named=target,
        is_own=own is not None,
        replaces=replaces,
        keeps_both=move.keeps_both and not is_dir,
        wanted_to_replace=overwrite,
    )


def refuse_uploads(access: Access, uploads: list[OpenWriter], rename: AuthorizedRename) -> None:
    """Check that open uploads that move along keep their rules, because they were opened by them.

    Raises PermissionDenied: if other rules apply at the new name, or a file may not have it; Busy: if it is
    in another storage, or in a mount with another role.
    """
    depth = len(rename.source.names)
    for upload in uploads:
        if access.crosses_border(rename.origin, rename.goal):
            raise Busy("a file open there cannot be moved to another storage before it is closed")
        path = VirtualPath(rename.target.names + upload.path.names[depth:])
        if access.upload_rules_at(path) != upload.rules.rules:
            raise PermissionDenied(
                "a file open there cannot be renamed to where other rules apply before it is closed",
                rule="rules of an open file",
            )
        access.mounts.refuse_file_name(path)


def fail_refused(access: Access, uploads: list[OpenWriter], rename: AuthorizedRename) -> None:
    """Fail open uploads that have moved along and that `refuse_uploads` would refuse: those that were opened
    while the rename was under way."""
    for upload in uploads:
        try:
            refuse_uploads(access, [upload], rename)
        except (PermissionDenied, Busy) as error:
            upload.fail(error)


async def _own_that_may_move(access: Access, move: Move) -> OwnFile | None:
    """The file that the session has just stored, if nothing else allows the rename. A mounted file stays."""
    if Right.RENAME in move.source_rules.rights or access.mounts.is_mounted_file(move.source):
        return None
    return await access.own_now(move.source)


async def _refuse_entries(
    move: Move, backend: CompleteBackend, place: Place, below: tuple[bytes, ...], session: Session
) -> None:
    """Check everything in a directory that moves."""
    directories = []
    async with aclosing(cast(Any, backend.list_dir(place, session))) as pages:
        async for page in pages:
            for entry in page:
                names = (*below, entry.name)
                move.refuse_entry(names, is_dir=entry.info.is_dir, size=entry.info.size)
                if entry.info.is_dir:
                    directories.append(entry.name)
    for name in directories:
        await _refuse_entries(move, backend, place.child(name), (*below, name), session)
