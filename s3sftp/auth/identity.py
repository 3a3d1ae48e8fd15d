"""Who somebody is once they are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Identity:
    """A user who proved who they are, and what belongs to them."""

    user: str
    """Their name in sessions, logs and limits, whatever it was that they logged in with."""
    prefix: str = ""
    """What they see as `/`: `"acme/inbox/"`, or empty for all of the storage."""
    read_only: bool = False
    directories: tuple[str, ...] = ()
    """Directories that are shown even while nothing is in them."""
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What authentication knows besides, such as a tenant id; handed to the storage."""
