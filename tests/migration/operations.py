"""Operations of an SFTP client in one small tree, to compare what two servers allow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import paramiko

FILES = (
    "a.csv",
    "b.exe",
    "in/a.csv",
    "in/b.exe",
    "in/sub/a.csv",
    "out/a.csv",
    "plain/a.csv",
    "plain/sub/a.csv",
)
EMPTY = ("empty", "x.exe", "in/empty", "in/x.exe", "out/empty", "bare")
PLACES = ("", "in/", "in/sub/", "out/", "plain/")

Operation = Callable[[paramiko.SFTPClient], object]


def fill(root: Path) -> None:
    """Make the tree anew."""
    shutil.rmtree(root, ignore_errors=True)
    for name in EMPTY:
        (root / name).mkdir(parents=True)
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("content")


def _write(path: str, mode: str) -> Operation:
    def run(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(path, mode) as file:
            file.write(b"more")

    return run


def _read(path: str) -> Operation:
    def run(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(path) as file:
            file.read()

    return run


def _call(method: str, *arguments: object) -> Operation:
    return lambda sftp: getattr(sftp, method)(*arguments)


def _operations() -> Mapping[str, Operation]:
    found: dict[str, Operation] = {}
    for place in PLACES:
        file = f"/{place}a.csv"
        found |= {
            f"list /{place}": _call("listdir_attr", f"/{place}"),
            f"stat {file}": _call("stat", file),
            f"get {file}": _read(file),
            f"put /{place}new.csv": _write(f"/{place}new.csv", "w"),
            f"put /{place}new.exe": _write(f"/{place}new.exe", "w"),
            f"put /{place}New.EXE": _write(f"/{place}New.EXE", "w"),
            f"overwrite {file}": _write(file, "w"),
            f"append {file}": _write(file, "a"),
            f"truncate {file}": _call("truncate", file, 2),
            f"chmod {file}": _call("chmod", file, 0o600),
            f"utime {file}": _call("utime", file, (1, 1)),
            f"rm {file}": _call("remove", file),
            f"mkdir /{place}made": _call("mkdir", f"/{place}made"),
            f"mkdir /{place}made.exe": _call("mkdir", f"/{place}made.exe"),
            f"rename {file} /{place}b.csv": _call("rename", file, f"/{place}b.csv"),
            f"rename {file} /{place}b2.exe": _call("rename", file, f"/{place}b2.exe"),
        }
        for other in PLACES:
            if other != place:
                moved, taken = f"/{other}moved.csv", f"/{other}a.csv"
                found[f"rename {file} {moved}"] = _call("rename", file, moved)
                found[f"replace {file} {taken}"] = _call("posix_rename", file, taken)
    for name in EMPTY:
        found[f"rmdir /{name}"] = _call("rmdir", f"/{name}")
        for other in PLACES:
            for target in (f"/{other}moved", f"/{other}moved.exe"):
                found[f"rename /{name} {target}"] = _call("rename", f"/{name}", target)
    for name in ("b.exe", "in/b.exe"):
        found[f"get /{name}"] = _read(f"/{name}")
        found[f"rm /{name}"] = _call("remove", f"/{name}")
        found[f"rename /{name} /{name}.csv"] = _call("rename", f"/{name}", f"/{name}.csv")
    for name in ("in", "in/sub", "out", "plain", "bare"):
        found[f"rename /{name} /moved-dir"] = _call("rename", f"/{name}", "/moved-dir")
        found[f"rmdir /{name}"] = _call("rmdir", f"/{name}")
    return MappingProxyType(found)


OPERATIONS = _operations()
"""What a client does, by a short name."""


def allowed(port: int, user: str, key: Path, root: Path) -> set[str]:
    """The operations that the server allows to the user, whose files are in `root`. Each begins with the
    same files; all share one connection."""
    found = set()
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", port, user, key_filename=str(key), look_for_keys=False, allow_agent=False)
        sftp = client.open_sftp()
        fill(root)
        before = _seen(root)
        for name, operation in OPERATIONS.items():
            try:
                operation(sftp)
            except (OSError, EOFError):
                assert _seen(root) == before, f"{user}: {name} failed and still changed something"
            else:
                found.add(name)
                fill(root)
    return found


def _seen(root: Path) -> dict[str, bytes]:
    return {
        os.path.relpath(path, root): path.read_bytes() if path.is_file() else b""
        for path in sorted(root.rglob("*"))
        if not path.name.startswith(".")
    }
