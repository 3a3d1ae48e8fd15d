"""The pod that the chart describes really runs, and the lines of its NOTES log in."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from testbed.processes import free_port, wait_until
from testbed.s3_store import Store
from tests.cli.command_process import batch, clean_environment, write_key_pair
from tests.helm.chart import CHART, Chart, Object, container, only, values_file
from tests.helm.kubernetes_api import running_api
from tests.helm.node import running_pod
from tests.image import containers

_IMAGE: Object = {"image": {"repository": "registry.example.com/team/s3sftp"}}


@pytest.fixture(scope="module")
def image() -> str:
    """The image of the server as tests/image builds it, or the one that `S3SFTP_TEST_IMAGE` names."""
    named = os.environ.get("S3SFTP_TEST_IMAGE")
    if named is not None:
        return named
    containers.require_containers()
    return str(containers.built_image())


@pytest.fixture
def values(store: Store, bucket: str, image: str, tmp_path: Path) -> Object:
    """For a bucket on this machine, and one user, alice, whose private key is `tmp_path/key`."""
    write_key_pair(tmp_path / "key")
    repository, _, tag = image.partition(":")
    public = (tmp_path / "key.pub").read_text("ascii").strip()
    return {
        "image": {"repository": repository, "tag": tag or "latest", "pullPolicy": "Never"},
        "config": {
            "s3": {
                "bucket": bucket,
                "endpoint_url": store.endpoint_url,
                "addressing": "path",
                "region": store.region,
            },
            "listen": {"port": free_port()},
            "admin": {"port": free_port()},
            "server": {"drain_delay": "2 s", "drain_timeout": "5 s"},
        },
        "credentials": {"existingSecret": "store"},
        "users": {"inline": {"alice": {"authorized_keys": [public]}}},
        "service": {"type": "ClusterIP"},
    }


@pytest.mark.alone  # tests/image builds the image meanwhile
@pytest.mark.timeout(900)
def test_the_rendered_pod_serves_the_client_of_the_notes_and_drains(
    values: Object, store: Store, bucket: str, rendered: Chart, tmp_path: Path
) -> None:
    objects = rendered.objects(values_file("minimal"), values)
    credentials = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": credentials},
        _host_keys(objects, values["config"]["listen"]["port"], tmp_path),
    ]
    sftp = _sftp_of(rendered.notes(values_file("minimal"), values), values, tmp_path)
    content = tmp_path / "content"
    content.write_bytes(os.urandom(3 << 20))
    with running_pod(objects, secrets, tmp_path) as pod:
        admin = f"http://127.0.0.1:{values['config']['admin']['port']}"
        try:
            wait_until(lambda: _status(f"{admin}/readyz") == 200, 90, "the pod is ready")
        except TimeoutError as error:
            raise AssertionError(pod.log()) from error
        assert _status(f"{admin}/livez") == 200
        done = batch(sftp, f"put {content} there\nget there {tmp_path / 'back'}\n")
        assert done.returncode == 0, done.stdout + done.stderr + pod.log()
        assert (tmp_path / "back").read_bytes() == content.read_bytes()
        stored = store.blocking_client.list_objects_v2(Bucket=bucket)["Contents"]
        assert "alice/there" in {each["Key"] for each in stored}
        assert "host_key.exposed" not in pod.log()
        assert pod.stop() == 0, pod.log()


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"type": "ClusterIP"}, "sftp -P 2022 alice@127.0.0.1"),
        ({"hostname": "sftp.example.com"}, "sftp -P 22 alice@sftp.example.com"),
        ({}, 'sftp -P 22 alice@"$ADDRESS"'),
        ({"type": "NodePort"}, 'sftp -P "$NODE_PORT" alice@"$NODE"'),
    ],
)
def test_notes_lead_to_an_sftp_line(rendered: Chart, service: Object, expected: str) -> None:
    notes = rendered.notes(values_file("minimal"), {"service": service})
    assert re.findall(r"^ +(sftp .*)$", notes, re.M) == [expected]
    for variable in re.findall(r"\$(\w+)", expected):
        assert f"{variable}=$(kubectl " in notes
    assert "helm --namespace partners test sftp --logs" in notes


def test_notes_warn_of_what_will_not_do_in_production(rendered: Chart) -> None:
    role = {"serviceAccount": {"irsaRoleArn": "arn:aws:iam::123456789012:role/s3sftp"}}
    assert "WARNING" not in rendered.notes(values_file("minimal"), role, _IMAGE)
    disk = {"config": {"s3": {"journal": "disk"}}, "service": {"externalTrafficPolicy": "Cluster"}}
    notes = rendered.notes(values_file("minimal"), disk)
    assert "config.s3.journal = disk notes unfinished uploads on the disk of a pod" in notes
    assert "all clients have the addresses of nodes" in notes
    assert "forgets all files" in rendered.notes(values_file("memory"))


def test_notes_say_that_no_registry_has_the_image_of_the_default(rendered: Chart) -> None:
    warning = "WARNING: image.repository = s3sftp names no registry"
    notes = rendered.notes(values_file("minimal"))
    assert warning in notes
    assert "`make image`" in notes
    assert "image.repository and image.tag" in notes
    assert warning not in rendered.notes(values_file("minimal"), _IMAGE)


def test_notes_warn_where_nothing_gives_the_pods_permission_for_the_bucket(rendered: Chart) -> None:
    warning = "nothing in the values gives the pods permission for the bucket"
    assert warning in rendered.notes(values_file("minimal"))
    own = {"serviceAccount": {"create": False, "name": "mine"}}
    environment = {"extraEnv": [{"name": "AWS_PROFILE", "value": "store"}]}
    for given in (own, environment, {"serviceAccount": {"podIdentity": True}}):
        assert warning not in rendered.notes(values_file("minimal"), given)
    for name in ("aws", "store", "memory"):
        assert warning not in rendered.notes(values_file(name))


def test_notes_say_when_the_sftp_line_needs_a_load_balancer_in_between(rendered: Chart) -> None:
    warning = "config.listen.proxy_protocol = required refuses direct connections"
    proxied = {"config": {"listen": {"proxy_protocol": "required", "proxy_sources": ["10.0.0.0/16"]}}}
    for kind in ("ClusterIP", "NodePort"):
        service = {"service": {"type": kind}}
        assert warning in rendered.notes(values_file("minimal"), proxied, service)
        assert warning not in rendered.notes(values_file("minimal"), service)
    assert warning not in rendered.notes(values_file("minimal"), proxied)


def test_notes_say_what_helm_test_needs_before_it_can_pass(rendered: Chart) -> None:
    hint = "set test.host to the host name of the load balancer first"
    assert hint in rendered.notes(values_file("aws"))
    assert hint not in rendered.notes(values_file("aws"), {"test": {"host": "sftp.example.com"}})
    assert hint not in rendered.notes(values_file("minimal"))
    notes = rendered.notes(values_file("csi"))
    assert "`helm test` cannot pass: users.csi mounts a volume of its own" in notes
    assert "helm --namespace partners test" not in notes


def test_notes_read_the_address_alone_and_a_node_that_has_a_pod(rendered: Chart) -> None:
    # beside its address a load balancer has ipMode, and maybe ports
    for service in ({}, {"hostname": "sftp.example.com"}):
        notes = rendered.notes(values_file("minimal"), {"service": service})
        assert "{.status.loadBalancer.ingress[0].hostname}{.status.loadBalancer.ingress[0].ip}" in notes
    # with externalTrafficPolicy = Local the others refuse
    notes = rendered.notes(values_file("minimal"), {"service": {"type": "NodePort"}})
    assert "component=server --output jsonpath='{.items[0].status.hostIP}')" in notes


def _sftp_of(notes: str, values: Object, directory: Path) -> list[str]:
    """The `sftp` line of NOTES, with the port that `kubectl port-forward` would lead to, and as a batch."""
    (line,) = re.findall(r"^ +(sftp .*)$", notes, re.M)
    program, *words = line.replace("-P 2022", f"-P {values['config']['listen']['port']}").split()
    options = ["-F", "none", "-i", str(directory / "key"), "-o", "IdentityAgent=none", "-b", "-"]
    options += ["-o", f"UserKnownHostsFile={directory / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"]
    return [program, *options, *words]


def _host_keys(objects: list[Object], port: int, directory: Path) -> Object:
    """What the Job of the hook makes, by its script; clients know the keys by `known_hosts`."""
    with running_api() as api:
        job = container(only(objects, "Job")["spec"]["template"], "host-keys")
        environ = {each["name"]: each["value"] for each in job["env"]} | api.environment(directory)
        script = [sys.executable, "-B", str(CHART / "files/make_host_keys.py")]
        subprocess.run(script, env=clean_environment(**environ), check=True, timeout=120)
        (secret,) = api.secrets.values()
    public = [
        base64.b64decode(text).decode() for name, text in secret["data"].items() if name.endswith("pub")
    ]
    (directory / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {line}" for line in public), "ascii")
    return dict(secret)


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
