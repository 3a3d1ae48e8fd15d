"""Programs of ours around the libraries of others: built once, kept in `.cache/clients`, run as processes.

Each is told where the server is by `SFTP_*` variables, does a checklist and prints `PASS name` or
`FAIL name: why` for each check. It leaves `kept` in its directory, and nothing else of what it made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import installed

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests/clients/programs"
CACHE = ROOT / ".cache/clients"

CHECKS = frozenset(
    (
        *("login-password", "login-key", "list", "stat-file", "stat-directory", "mkdir-nested"),
        *(
            "put-small",
            "put-large",
            "get-small",
            "get-large",
            "append",
            "resume",
            "rename",
            "rename-overwrite",
        ),
        *("walk", "missing", "times", "remove", "rmdir"),
    )
)
"""What a client does that leaves out nothing."""


@dataclass(frozen=True)
class Program:
    """A library with the program that drives it."""

    name: str
    needs: tuple[str, ...]
    """Commands that build and run it."""
    sources: tuple[str, ...]
    """Files and directories below `programs/` that it is made of."""
    build: tuple[tuple[str, ...], ...]
    """Commands, run in the repository; `{cache}` and `{programs}` are put in."""
    command: tuple[str, ...]
    key: str = "ed25519"
    """Which of the user's keys it logs in with."""
    lacks: frozenset[str] = frozenset()
    """Checks that the library has no function for."""
    checks: frozenset[str] = CHECKS
    extra: frozenset[str] = frozenset()
    """Checks that it has beyond those."""

    @property
    def expected(self) -> set[str]:
        return set(self.checks - self.lacks | self.extra)

    def ready(self) -> list[str]:
        """The command that runs it, built if the sources have changed.

        Without the tools for it the test is skipped loudly; in CI it fails.
        """
        for command in self.needs:
            installed(command)
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the test run may want it too
            self._build()
        return _filled(self.command)

    def _build(self) -> None:
        stamp = CACHE / f"{self.name}.built"
        wanted = self._fingerprint()
        if not stamp.exists() or stamp.read_text("ascii") != wanted:
            for command in self.build:
                _build(_filled(command))
            stamp.write_text(wanted, "ascii")

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.build, self.command)).encode())
        for source in self.sources:
            path = PROGRAMS / source
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def _filled(command: Sequence[str]) -> list[str]:
    return [word.format(cache=CACHE, programs=PROGRAMS) for word in command]


def _build(command: list[str]) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    if done.returncode:
        message = f"CLIENT NOT BUILT: {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def _java(name: str, *, source: str = "", **more: object) -> Program:
    source = source or name
    shared = ("Library.java", "Checklist.java")
    libraries, classes = f"{{cache}}/java/{name}", f"{{cache}}/classes/{name}"
    return Program(
        name=name,
        needs=("mvn", "javac", "java"),
        sources=(
            *(f"java/{file}" for file in shared),
            f"java/{source}",
            f"java/{name}/pom.xml",
            "java/pom.xml",
        ),
        build=(
            ("rm", "-rf", libraries, classes),  # of an older version
            (
                *("mvn", "-q", "-B", "-f", "{programs}/java/pom.xml", "-pl", name),
                *("-Dlibraries={cache}/java", "dependency:copy-dependencies"),
            ),
            (
                *("javac", "-nowarn", "-Xlint:none", "-d", classes, "-cp", f"{libraries}/*"),
                *(f"{{programs}}/java/{file}" for file in (*shared, f"{source}/Program.java")),
            ),
        ),
        command=(
            # a program of seconds: what the compiler would gain is less than what it takes
            *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *("-cp", f"{classes}:{libraries}/*", "Program"),
        ),
        **more,  # type: ignore[arg-type]
    )


JSCH_OLD = _java("jsch-old", source="jsch", key="ecdsa")
JSCH = _java("jsch")
SSHJ = _java("sshj")
MINA = _java(
    "mina",
    key="ecdsa",
    lacks=frozenset({"resume"}),
    extra=frozenset(
        {"nio-copy", "nio-access", "nio-pattern", "nio-channel", "nio-create-new", "nio-tree-removal"}
    ),
)
SPRING = _java(
    "spring",
    key="ecdsa",
    lacks=frozenset({"resume", "times"}),
    extra=frozenset({"inbound-synchronizer", "outbound-gateway"}),
)
VFS = _java("vfs", lacks=frozenset({"resume"}))
CAMEL = _java(
    "camel",
    checks=frozenset(
        (
            *("login-password", "login-key", "put-small", "get-small", "put-large", "get-large", "append"),
            *("overwrite", "overwrite-by-temporary-name", "refuse-what-exists", "chmod-and-times"),
            *("consume-recursively", "consume-and-move", "consume-and-delete", "consume-with-read-lock"),
            *("consume-with-done-file", "missing", "left-as-agreed"),
        )
    ),
)
RUBY = Program(
    name="net-sftp",
    needs=("ruby",),
    sources=("ruby",),
    build=(("ruby", "-e", "require 'net/sftp'"),),
    command=("ruby", "{programs}/ruby/program.rb"),
    lacks=frozenset({"resume", "rename-overwrite"}),
    extra=frozenset({"tree"}),
)
PERL = Program(
    name="net-sftp-foreign",
    needs=("perl", "ssh"),
    sources=("perl",),
    build=(("perl", "-MNet::SFTP::Foreign", "-e", "1"),),
    command=("perl", "{programs}/perl/program.pl"),
    lacks=frozenset({"login-password"}),  # ssh asks for it at a terminal
    extra=frozenset({"tree", "put-by-temporary-name"}),
)


def _php(version: str, **more: object) -> Program:
    namespace = "phpseclib3" if version == "3" else "phpseclib"
    return Program(
        name=f"phpseclib-{version}",
        needs=("php",),
        sources=("php",),
        build=(("php", "-r", f"require '{namespace}/autoload.php';"),),
        command=("php", "{programs}/php/program.php", version),
        lacks=frozenset({"rename-overwrite"}),
        extra=frozenset({"writable"}),
        **more,  # type: ignore[arg-type]
    )


PHPSECLIB_2 = _php("2", key="rsa")
PHPSECLIB_3 = _php("3")
LIBSSH = Program(
    name="libssh",
    needs=("gcc",),
    sources=("c",),
    build=(("gcc", "-O1", "-Wall", "-o", "{cache}/libssh", "{programs}/c/program.c", "-lssh"),),
    command=("{cache}/libssh",),
    lacks=frozenset({"rename-overwrite"}),
)

NODE = Program(
    name="ssh2-sftp-client",
    needs=("node", "npm"),
    sources=("node",),
    build=(
        ("mkdir", "-p", "{cache}/node"),
        ("cp", "{programs}/node/package.json", "{programs}/node/package-lock.json", "{cache}/node"),
        (
            "npm",
            "ci",
            "--prefix",
            "{cache}/node",
            "--ignore-scripts",
            "--omit=optional",
            "--no-audit",
            "--no-fund",
        ),
    ),
    command=("env", "SFTP_NODE_MODULES={cache}/node", "node", "{programs}/node/program.mjs"),
    lacks=frozenset({"resume", "walk", "times"}),
    extra=frozenset({"put-stream", "copy", "tree"}),
)
GO = Program(
    name="pkg-sftp",
    needs=("go",),
    sources=("go",),
    build=(
        (
            "env",
            "GOCACHE={cache}/go-build",
            "go",
            "build",
            "-C",
            "{programs}/go",
            "-o",
            "{cache}/pkg-sftp",
            ".",
        ),
    ),
    command=("{cache}/pkg-sftp",),
    lacks=frozenset({"resume"}),
    extra=frozenset({"login-keyboard-interactive"}),
)
RUST = Program(
    name="russh-sftp",
    needs=("cargo",),
    sources=("rust/Cargo.toml", "rust/src"),
    build=(
        (
            *("cargo", "build", "--quiet", "--manifest-path", "{programs}/rust/Cargo.toml"),
            *("--target-dir", "{cache}/rust"),
        ),
    ),
    command=("{cache}/rust/debug/russh-program",),
    lacks=frozenset({"resume", "rename-overwrite"}),
)

ALL = (
    JSCH_OLD,
    JSCH,
    SSHJ,
    MINA,
    SPRING,
    VFS,
    CAMEL,
    RUBY,
    PERL,
    PHPSECLIB_2,
    PHPSECLIB_3,
    LIBSSH,
    NODE,
    GO,
    RUST,
)
