"""Finish the environment that the image gets: the server's wheel, and nothing that it never reads.

    python3 install.py ENVIRONMENT DIRECTORY_OF_THE_WHEEL ROOT

ROOT becomes the rest of the image: the directories that people mount things into.
"""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

SERVICES = frozenset({"s3", "sts", "sso", "sso-oidc"})
"""What botocore keeps descriptions of: the storage, and where credentials come from."""
UNUSED = ("tests", "test", "testing", "examples", "docs")
"""Directories that packages ship beside what they are."""
KEPT = frozenset({"s3sftp/testing", "botocore/docs"})
"""They have such names, and are imported."""
EMPTY_CONFIGURATION = (
    "# Mount a configuration here, or say everything in the environment: S3SFTP_GROUP__OPTION.\n"
)


def main(environment: Path, wheels: Path, root: Path) -> None:
    install(environment, wheels)
    (packages,) = environment.glob("lib/python3*/site-packages")
    prune(packages)
    keep_programs(environment)
    # the root is read-only where it runs, so all is compiled now; nothing depends on the time of the build
    compileall.compile_dir(packages, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    lay_out(root)


def install(environment: Path, wheels: Path) -> None:
    (wheel,) = wheels.glob("s3sftp-*.whl")
    command = [sys.executable, "-m", "pip", "--no-cache-dir", "--python", str(environment / "bin/python3")]
    subprocess.run([*command, "install", "--quiet", "--no-compile", "--no-deps", str(wheel)], check=True)  # noqa: S603


def prune(packages: Path) -> None:
    """Remove what is never read."""
    for service in (packages / "botocore/data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)
    for directory in sorted(packages.glob("*/*")):
        name = str(directory.relative_to(packages))
        if directory.is_dir() and directory.name in UNUSED and name not in KEPT:
            shutil.rmtree(directory)
    for kind in ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h"):
        for file in packages.rglob(kind):
            file.unlink()


def keep_programs(environment: Path) -> None:
    """Only the programs that the image is for: no activation scripts, no commands of libraries."""
    for file in (environment / "bin").iterdir():
        if not file.name.startswith("python") and file.name != "s3sftp":
            file.unlink()


def lay_out(root: Path) -> None:
    for directory in ("etc/s3sftp/users", "etc/s3sftp/host-keys", "var/lib/s3sftp", "usr/share/s3sftp"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/s3sftp").chmod(0o770)  # its own user, and group 0, which platforms run any other user in
    (root / "etc/s3sftp/s3sftp.toml").write_text(EMPTY_CONFIGURATION)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
