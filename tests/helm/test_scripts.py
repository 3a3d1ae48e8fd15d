"""The scripts that the chart's hooks run, as processes, against an API of Kubernetes and a real server."""

from __future__ import annotations

import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue

import asyncssh
import pytest

from s3sftp.ssh.host_keys import FILES, load, load_host_keys
from testbed.processes import free_port
from tests.cli.command_process import clean_environment, running, s3sftp
from tests.helm.chart import CHART, Chart, Object, container, of_kind, only, pods, server, values_file
from tests.helm.consistency import problems
from tests.helm.kubernetes_api import Api, Secret, running_api

NAME = "sftp-s3sftp-host-keys"


@pytest.fixture
def api() -> Iterator[Api]:
    with running_api() as started:
        yield started


def make_host_keys(
    api: Api, directory: Path, files: str = ",".join(FILES)
) -> subprocess.CompletedProcess[str]:
    return _run("make_host_keys.py", api, directory, SECRET_NAME=NAME, SECRET_FILES=files)


def _run(script: str, api: Api, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    with _started(script, api, directory, **environ) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def _started(script: str, api: Api, directory: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A script as its pod runs it; killed if it has not ended when the block does."""
    with subprocess.Popen(
        [sys.executable, "-B", str(CHART / "files" / script)],
        env=clean_environment(**api.environment(directory), **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_first_installation_makes_host_keys_that_the_server_takes(api: Api, tmp_path: Path) -> None:
    done = make_host_keys(api, tmp_path)
    assert done.returncode == 0, done.stderr
    data = {name: b64decode(content) for name, content in api.secrets[NAME]["data"].items()}
    assert set(data) == {*FILES, *(f"{name}.pub" for name in FILES)}
    for name, kind in FILES.items():
        (tmp_path / name).write_bytes(data[name])
        key = load(tmp_path / name)
        assert key.get_algorithm() == kind
        assert asyncssh.import_public_key(data[f"{name}.pub"]).public_data == key.public_data
        assert key.get_fingerprint() in done.stdout
    assert "PRIVATE" not in done.stdout
    assert api.secrets[NAME]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_an_upgrade_finds_them_and_asks_for_nothing_else(api: Api, tmp_path: Path) -> None:
    make_host_keys(api, tmp_path)
    before = dict(api.secrets[NAME])
    api.requests.clear()
    done = make_host_keys(api, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stays as it is" in done.stdout
    assert api.requests == [f"GET /{NAME}"]
    assert api.secrets[NAME] == before


def test_who_is_slower_takes_the_keys_of_the_other(api: Api, tmp_path: Path) -> None:
    others = {"metadata": {"name": NAME}, "data": dict.fromkeys(FILES, "b3RoZXI=")}
    api.before_create = lambda api: api.secrets.update({NAME: others})
    done = make_host_keys(api, tmp_path)
    assert done.returncode == 0, done.stderr
    assert api.secrets[NAME] == others


def test_a_secret_that_lacks_a_key_is_left_alone_and_named(api: Api, tmp_path: Path) -> None:
    mine = {"metadata": {"name": NAME}, "data": {"ssh_host_rsa_key": "bWluZQ=="}}
    api.secrets[NAME] = mine
    done = make_host_keys(api, tmp_path)
    assert done.returncode == 1
    assert f"Secret {NAME} is there, but lacks ssh_host_ed25519_key, ssh_host_ecdsa_key" in done.stderr
    assert api.secrets[NAME] == mine
    assert make_host_keys(api, tmp_path, "ssh_host_rsa_key").returncode == 0


def test_a_key_that_cannot_be_generated_is_taken_from_the_secret_or_named(api: Api, tmp_path: Path) -> None:
    files = "ssh_host_ed25519_key,new_ed25519_key"
    done = make_host_keys(api, tmp_path, files)
    assert done.returncode == 1
    assert f"There is no Secret {NAME} yet, and new_ed25519_key cannot be generated" in done.stderr
    assert api.secrets == {}
    make_host_keys(api, tmp_path)
    assert "lacks new_ed25519_key" in make_host_keys(api, tmp_path, files).stderr
    api.secrets[NAME]["data"]["new_ed25519_key"] = "bWluZQ=="
    assert make_host_keys(api, tmp_path, files).returncode == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_role_that_lacks_a_permission_is_told(method: str, api: Api, tmp_path: Path) -> None:
    api.forbidden = frozenset({method})
    done = make_host_keys(api, tmp_path)
    assert done.returncode == 1
    assert "403" in done.stderr
    assert f"cannot {method} resource" in done.stderr
    assert "the Role of this pod's ServiceAccount has to allow it" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(api.requests) == (1 if method == "GET" else 2)


def test_an_api_that_fails_for_a_moment_is_asked_again(api: Api, tmp_path: Path) -> None:
    api.failures = 1
    assert make_host_keys(api, tmp_path).returncode == 0
    assert set(FILES) <= set(api.secrets[NAME]["data"])


def test_the_job_may_only_find_its_own_secret_and_make_one(rendered: Chart) -> None:
    objects = rendered.objects(values_file("minimal"))
    role = only(objects, "Role", "-host-keys-job")
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in role["rules"]] == [
        (["get"], [NAME]),
        (["create"], None),
    ]
    job = only(objects, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert not [each for each in objects if each["kind"] == "Secret" and each["metadata"]["name"] == NAME]
    (volume,) = (each for each in server(objects)["spec"]["volumes"] if each["name"] == "host-keys")
    assert volume["secret"]["secretName"] == NAME


def test_with_a_secret_of_ones_own_nothing_is_made(rendered: Chart) -> None:
    objects = rendered.objects(values_file("aws"))
    assert not [each for each in objects if each["kind"] == "Job"]
    (volume,) = (each for each in server(objects)["spec"]["volumes"] if each["name"] == "host-keys")
    assert volume["secret"]["secretName"] == "host-keys"


def test_the_scripts_are_in_the_config_maps_as_they_are(chart: Chart) -> None:
    objects = chart.objects(values_file("minimal"))
    shipped = {}
    for each in objects:
        if each["kind"] == "ConfigMap" and "helm.sh/hook" in each["metadata"].get("annotations", {}):
            shipped |= each["data"]
    files = sorted((CHART / "files").glob("*.py"))
    assert {name: text.rstrip() for name, text in shipped.items()} == {
        file.name: file.read_text("utf-8").rstrip() for file in files
    }
    for name, pod in pods(objects):
        if not name.startswith("Deployment"):
            command = pod["spec"]["containers"][0]["command"]
            assert command[-1].removeprefix("/scripts/") in shipped


@pytest.mark.parametrize("proxy_protocol", ["off", "required"])
def test_helm_test_moves_a_file_there_and_back_with_a_user_who_is_gone_afterwards(
    proxy_protocol: str, api: Api, tmp_path: Path, rendered: Chart
) -> None:
    if proxy_protocol == "required" and find_spec("s3sftp.ssh.proxy_header") is None:
        pytest.skip("this server takes no PROXY headers")
    made: SimpleQueue[Secret] = SimpleQueue()
    api.after_create = made.put
    config = {"listen": {"proxy_protocol": proxy_protocol, "proxy_sources": ["127.0.0.0/8"]}}
    port, users, public = free_port(), tmp_path / "users.toml", tmp_path / "public"
    environ = _environment_of_the_test(rendered, {"config": config})
    environ |= {"SFTP_HOST": "127.0.0.1", "SFTP_PORT": str(port), "PUBLIC_KEYS_DIR": str(public)}
    state = tmp_path / "state"
    load_host_keys((), state)
    public.mkdir()
    for file in FILES:
        (public / f"{file}.pub").write_bytes(load(state / file).export_public_key())
    with _started("round_trip.py", api, tmp_path, **environ) as script:
        # as if the kubelet had brought the Secret to the server
        users.write_bytes(b64decode(made.get(timeout=60)["data"]["helm-test-user.toml"]))
        flags = ["--backend", "memory", "--host", "127.0.0.1", "--port", str(port), "--state-dir", str(state)]
        options = {
            "S3SFTP_AUTH__USERS_FILE": str(users),
            "S3SFTP_LISTEN__PROXY_PROTOCOL": proxy_protocol,
            "S3SFTP_LISTEN__PROXY_SOURCES": "127.0.0.0/8",
        }
        with running("serve", *flags, directory=tmp_path, **options):
            out, err = script.communicate(timeout=120)
    assert script.returncode == 0, out + err
    assert "PASSED" in out
    assert api.secrets == {}
    assert [request.split()[0] for request in api.requests] == ["DELETE", "POST", "DELETE"]


def test_helm_test_fails_at_once_where_the_server_refuses_its_proxy_header(
    api: Api, tmp_path: Path, rendered: Chart
) -> None:
    environ = _environment_of_the_test(rendered, _PROXIED)
    assert (environ["PROXY_PROTOCOL"], environ["PROXY_SOURCES"]) == ("required", "10.1.0.0/16,fd00::/8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        environ |= {"SFTP_HOST": "127.0.0.1", "SFTP_PORT": str(server.getsockname()[1])}
        done = _run("round_trip.py", api, tmp_path, **environ)
    assert done.returncode == 1
    assert "the address of this pod, 127.0.0.1, is not in config.listen.proxy_sources (10.1" in done.stderr
    assert "Set test.host to the host name of the load balancer" in done.stderr
    assert api.secrets == {}


def test_helm_test_goes_through_the_load_balancer_that_it_is_given_without_a_header(rendered: Chart) -> None:
    environ = _environment_of_the_test(rendered, {**_PROXIED, "test": {"host": "sftp.example.com"}})
    assert (environ["SFTP_HOST"], environ["SFTP_PORT"]) == ("sftp.example.com", "22")
    assert environ["PROXY_PROTOCOL"] == "off"
    environ = _environment_of_the_test(rendered, {"test": {"host": "sftp.example.com", "port": 2222}})
    assert environ["SFTP_PORT"] == "2222"


@pytest.mark.parametrize(
    ("values", "value"),
    [
        ({"users": {"csi": {"enabled": True, "secretProviderClass": "partners"}}}, "users.csi"),
        ({"config": {"auth": {"users_dir": "/elsewhere"}}}, "config.auth.users_dir"),
    ],
)
def test_helm_test_fails_where_its_user_has_no_place(values: Object, value: str, rendered: Chart) -> None:
    least = {"config": {"s3": {"bucket": "acme"}}}
    objects = rendered.objects(least, values)
    test = container(_pod_of_the_test(objects), "round-trip")
    done = subprocess.run(
        [sys.executable, *test["command"][1:]],
        env={each["name"]: each["value"] for each in test["env"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"FAILED: not tested: {value} ")
    assert "set test.enabled to false" in done.stderr
    assert problems(objects) == []
    assert not of_kind(rendered.objects(least, values, {"test": {"enabled": False}}), "Pod")


_PROXIED: Object = {
    "config": {"listen": {"proxy_protocol": "required", "proxy_sources": ["10.1.0.0/16", "fd00::/8"]}}
}


def _pod_of_the_test(objects: list[Object]) -> Object:
    (pod,) = (pod for name, pod in pods(objects) if name.startswith("Pod "))
    return pod


def _environment_of_the_test(rendered: Chart, values: Object) -> dict[str, str]:
    pod = _pod_of_the_test(rendered.objects(values_file("minimal"), values))
    return {each["name"]: each["value"] for each in container(pod, "round-trip")["env"]}


def test_helm_test_says_when_nobody_answers(api: Api, tmp_path: Path) -> None:
    environ = {
        "SECRET_NAME": "user",
        "SFTP_USER": "probe",
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": str(free_port()),
        "PROXY_PROTOCOL": "off",
        "TIMEOUT_SECONDS": "1",
    }
    done = _run("round_trip.py", api, tmp_path, **environ)
    assert done.returncode == 1
    assert "FAILED: not within 1 s" in done.stderr
    assert api.secrets == {}


def test_the_user_of_helm_test_is_one_that_the_server_takes(api: Api, tmp_path: Path) -> None:
    made: list[Secret] = []
    api.after_create = made.append
    environ = {
        "SECRET_NAME": "user",
        "SFTP_USER": "helm-test",
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": "9",
        "PROXY_PROTOCOL": "off",
        "TIMEOUT_SECONDS": "0",
    }
    _run("round_trip.py", api, tmp_path, **environ)
    users = tmp_path / "users.toml"
    users.write_bytes(b64decode(made[0]["data"]["helm-test-user.toml"]))
    done = s3sftp("check", "--offline", S3SFTP_BACKEND="memory", S3SFTP_AUTH__USERS_FILE=str(users))
    assert done.returncode == 0, done.stderr
    assert "1 user" in done.stdout
