"""Says which grant covers a place, and whether a border lies between two places: what is behind it is reached
in another way, so a file is moved there as to another disk. Pure.

    another storage                       no request covers both
    the same storage, another role        no credentials cover both
"""

from __future__ import annotations

from collections.abc import Sequence

from s3sftp.backends.contract import Grant, Place, Session
from s3sftp.backends.mount_role import MountRole


def grant_at(grants: Sequence[Grant], place: Place) -> Grant | None:
    """The grant that covers a place: of several the one that is nearest to it. None: none does."""
    covering = [each for each in grants if place.is_within(each.place) and _reaches(each, place)]
    return max(covering, key=lambda each: len(each.place.names), default=None)


def role_at(session: Session, place: Place) -> MountRole | None:
    """The role of the mount that the place is in; None if it has none."""
    if not session.grants:
        return None
    grant = grant_at(session.grants, place)
    return None if grant is None else grant.role


def is_across(source: Place, target: Place, session: Session) -> bool:
    """Whether there is a border between two places, for this session."""
    return source.storage != target.storage or role_at(session, source) != role_at(session, target)


def _reaches(grant: Grant, place: Place) -> bool:
    return not grant.file or grant.place.names == place.names
