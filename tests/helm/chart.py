"""The chart as Helm renders it, and what is looked for in the objects."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helm.tools import ROOT, helm

CHART = ROOT / "helm/s3sftp"
VALUES_FILES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE = "sftp", "partners"

Object = dict[str, Any]


class Refused(Exception):
    """Helm renders nothing of these values, and says why."""


@dataclass(frozen=True)
class Chart:
    """A chart with one of the Helms."""

    major: str
    directory: Path = CHART

    def objects(
        self, *values: Path | Mapping[str, Any], kube_version: str = "1.33.0", upgrade: bool = False
    ) -> list[Object]:
        """What would be installed, or upgraded to. Raises Refused."""
        return parsed(self.text(*values, kube_version=kube_version, upgrade=upgrade))

    def text(
        self, *values: Path | Mapping[str, Any], kube_version: str = "1.33.0", upgrade: bool = False
    ) -> str:
        more = ["--kube-version", kube_version, *(["--is-upgrade"] if upgrade else [])]
        return self._run("template", *values, more=more)

    def asking(self, kubeconfig: Path, *values: Path | Mapping[str, Any]) -> list[Object]:
        """What would be installed, where a cluster can be asked. Raises Refused."""
        more = ("--dry-run=server", "--kubeconfig", str(kubeconfig))
        return parsed(self._run("template", *values, more=more))

    def notes(self, *values: Path | Mapping[str, Any]) -> str:
        """What Helm says after an installation."""
        said = self._run("install", *values, more=("--dry-run=client",))
        return said.split("\nNOTES:\n", 1)[1]

    def lint(self, *values: Path | Mapping[str, Any]) -> None:
        """Raises Refused."""
        with _files_of(values) as files:
            self._helm("lint", "--strict", str(self.directory), *files)

    def _run(self, command: str, *values: Path | Mapping[str, Any], more: Iterable[str]) -> str:
        with _files_of(values) as files:
            return self._helm(command, RELEASE, str(self.directory), "--namespace", NAMESPACE, *files, *more)

    def _helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(helm(self.major)), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout


@contextmanager
def _files_of(values: Iterable[Path | Mapping[str, Any]]) -> Iterator[list[str]]:
    """Values as arguments of Helm; those that are no files are written into some."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = []
        for number, each in enumerate(values):
            file = each if isinstance(each, Path) else Path(directory) / f"{number}.json"
            if not isinstance(each, Path):
                # YAML has no escapes of surrogates, and no DEL as it is
                file.write_text(json.dumps(each, ensure_ascii=False).replace("\x7f", "\\u007f"), "utf-8")
            arguments += ["--values", str(file)]
        yield arguments


def values_file(name: str) -> Path:
    """One of those in `ci/`."""
    (found,) = (file for file in VALUES_FILES if file.stem == f"{name}-values")
    return found


class _Loader(yaml.CSafeLoader):
    """Refuses a key that is there twice, as YAML does, and not all that read it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        made = super().construct_mapping(node, deep)
        if len(made) != len(node.value):
            raise yaml.constructor.ConstructorError(problem=f"a key is there twice {node.start_mark}")
        return made


def parsed(text: str) -> list[Object]:
    return [each for each in yaml.load_all(text, _Loader) if each]


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def only(objects: Iterable[Object], kind: str, name: str = "") -> Object:
    """The one object of a kind, whose name ends so."""
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"].endswith(name))
    return found


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod that is described: its labels are in `metadata`, what runs in `spec`."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each
        elif each["kind"] in ("Deployment", "Job"):
            yield name, each["spec"]["template"]


def container(pod: Object, name: str = "s3sftp") -> Object:
    (found,) = (each for each in pod["spec"]["containers"] if each["name"] == name)
    return found


def server(objects: Iterable[Object]) -> Object:
    """The pod of the Deployment."""
    template: Object = only(objects, "Deployment")["spec"]["template"]
    return template


def options_file(objects: Iterable[Object]) -> str:
    """`s3sftp.toml`."""
    maps = [each for each in of_kind(objects, "ConfigMap") if "s3sftp.toml" in each["data"]]
    assert len(maps) == 1
    return str(maps[0]["data"]["s3sftp.toml"])


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())
