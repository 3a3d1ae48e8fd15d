"""podman as a node: it runs the pod of the Deployment as it was rendered, as near as podman can.

What podman has no notion of is put into its words: volumes are directories of this machine, filled as the
kubelet does; probes are left out; the network is the machine's.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helm.chart import RELEASE, Object, of_kind, server
from tests.helm.tools import ROOT
from tests.support.commands import installed

STORAGE = ROOT / ".cache/image/storage.conf"
"""Where tests/image keeps what it builds."""
_GROUP = 10001
_LEFT_OUT = ("serviceAccountName", "topologySpreadConstraints", "enableServiceLinks")
_LEFT_OUT_OF_CONTAINERS = ("startupProbe", "livenessProbe", "readinessProbe", "resources", "ports")

Files = dict[str, bytes]


def podman(*arguments: str) -> str:
    done = _podman(*arguments)
    assert done.returncode == 0, f"podman {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Pod:
    """The server's container, while its pod runs."""

    name: str

    def log(self) -> str:
        done = _podman("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        podman("stop", "--time", "60", self.name)
        (state,) = json.loads(podman("inspect", self.name))
        return int(state["State"]["ExitCode"])


@contextmanager
def running_pod(objects: list[Object], secrets: list[Object], directory: Path) -> Iterator[Pod]:
    """The pod of the Deployment with these Secrets beside the rendered ones; gone at the end."""
    made = [*of_kind(objects, "ConfigMap"), *of_kind(objects, "Secret"), *secrets]
    data = {each["metadata"]["name"]: _files(each) for each in made}
    pod = _in_words_of_podman(server(objects), data, directory)
    file = directory / "pod.yaml"
    file.write_text(yaml.safe_dump(pod), "utf-8")
    try:
        podman("play", "kube", "--network=host", str(file))
        yield Pod(f"{pod['metadata']['name']}-s3sftp")
    finally:
        _podman("pod", "rm", "--force", "--time", "0", pod["metadata"]["name"])


def _in_words_of_podman(template: Object, data: Mapping[str, Files], directory: Path) -> Object:
    spec = {name: value for name, value in template["spec"].items() if name not in _LEFT_OUT}
    (rendered,) = spec["containers"]
    container = {name: value for name, value in rendered.items() if name not in _LEFT_OUT_OF_CONTAINERS}
    container["env"] = [_with_value(each, data) for each in rendered["env"]]
    volumes = {each["name"]: _on_this_machine(each, data, directory) for each in spec["volumes"]}
    container["volumeMounts"] = []
    for mount in rendered["volumeMounts"]:
        if part := mount.get("subPath"):
            path = f"{volumes[mount['name']]['hostPath']['path']}/{part}"
            volumes[mount["name"]]["hostPath"] = {"path": path, "type": "File"}
        container["volumeMounts"].append({key: value for key, value in mount.items() if key != "subPath"})
    spec |= {"containers": [container], "volumes": list(volumes.values()), "restartPolicy": "Never"}
    metadata = {"name": f"{RELEASE}-{directory.name}", "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _files(each: Object) -> Files:
    """What a ConfigMap or a Secret has."""
    data = each.get("data", {})
    if each["kind"] == "Secret":
        decoded = {name: base64.b64decode(text) for name, text in data.items()}
    else:
        decoded = {name: text.encode() for name, text in data.items()}
    return decoded | {name: text.encode() for name, text in each.get("stringData", {}).items()}


def _with_value(variable: Object, data: Mapping[str, Files]) -> Object:
    reference = variable.get("valueFrom", {}).get("secretKeyRef")
    if reference is None:
        return variable
    value = data[reference["name"]].get(reference["key"], b"")
    return {"name": variable["name"], "value": value.decode()}


def _on_this_machine(volume: Object, data: Mapping[str, Files], directory: Path) -> Object:
    if "emptyDir" in volume:
        return {"name": volume["name"], "emptyDir": {}}
    place = directory / "volumes" / volume["name"]
    _fill(place, volume, data)
    return {"name": volume["name"], "hostPath": {"path": str(place), "type": "Directory"}}


def _fill(place: Path, volume: Object, data: Mapping[str, Files]) -> None:
    """As the kubelet does: files of root that the group of the pod may read."""
    place.mkdir(parents=True)
    sources: list[Any] = volume.get("projected", {}).get("sources", [volume])
    for source in sources:
        about = source.get("configMap") or source["secret"]
        files = data.get(about.get("secretName") or about["name"])
        if files is None:
            assert about.get("optional"), f"{about} is missing: the pod would not start"
            continue
        items = about.get("items") or [{"key": name, "path": name} for name in files]
        for item in items:
            file = place / item["path"]
            file.write_bytes(files[item["key"]])
            file.chmod(0o440)
            os.chown(file, 0, _GROUP)


def _podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(_configuration())
        file.flush()
        return subprocess.run(
            [installed("podman"), *arguments],
            # what is already set wins: it says where images are
            env={"CONTAINERS_STORAGE_CONF": str(STORAGE), **os.environ, "CONTAINERS_CONF": file.name},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _enough(limit: int) -> int:
    soft, _ = resource.getrlimit(limit)
    return 16384 if soft == resource.RLIM_INFINITY else min(soft, 16384)


def _configuration() -> str:
    """For a machine that is a container itself: no systemd, no crun, and no limit above its own."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    texts = [f"{name}={_enough(limit)}:{_enough(limit)}" for name, limit in limits.items()]
    return (
        f"[containers]\ndefault_ulimits = {json.dumps(texts)}\n"
        f'[engine]\ncgroup_manager = "cgroupfs"\nruntime = "{installed("runc")}"\n'
    )
