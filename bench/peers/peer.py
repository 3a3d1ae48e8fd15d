"""What the benchmark wants of a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from bench.identity import Identity
from testbed.s3_store import Store


class Storage(Enum):
    """Where a server's files are."""

    S3 = "S3, through the relay"
    FILER = "SeaweedFS' own protocol, the same bucket"
    FOLDER = "a RAM disk"
    MEMORY = "its own memory"


@dataclass(frozen=True)
class Site:
    """What a server is started with."""

    directory: Path
    """Its own, for configuration, state and caches; on the RAM disk."""
    port: int
    identity: Identity
    store: Store
    """S3 behind the relay."""
    bucket: str
    folder: Path
    filer_port: int


@dataclass(frozen=True)
class Command:
    """How to start a server; the environment is added to this process' own."""

    words: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}


class PeerServer(Protocol):
    """One server to compare."""

    name: str
    about: str
    """What it is and how it is configured, in a line."""
    storage: Storage

    def missing(self) -> str:
        """Why it cannot run here; empty when it can."""
        return ""

    def command(self, site: Site) -> Command:
        """How to start it; writes the files that it needs."""
        ...

    def root(self, site: Site) -> str:
        """What stands before a path that clients use; no slash at the end."""
        return ""
