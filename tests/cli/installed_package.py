"""A package with a storage, installed for one test: a module and what its metadata says, in a directory."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(site: Path, source: str, entries: dict[str, str], *, package: str = "acme-notes") -> str:
    """Put a module there, and entry points of s3sftp.backends; returns a PYTHONPATH that has both."""
    module = package.replace("-", "_")
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(source)
    metadata = site / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[s3sftp.backends]", *lines, ""]))
    return os.pathsep.join([str(site), str(ROOT)])
