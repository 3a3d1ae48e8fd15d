"""Secrets that the values name and that are missing are said before anything is installed, or in NOTES."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm.chart import Chart, Object, Refused, of_kind, values_file
from tests.helm.kubernetes_api import Api, running_api

NAMED: Object = {
    "config": {"s3": {"bucket": "acme"}},
    "users": {"existingSecret": "partners"},
    "hostKeys": {"existingSecret": "keys", "files": ["ssh_host_ed25519_key", "new_key"]},
    "credentials": {"existingSecret": "store"},
}
COMMANDS = (
    "kubectl --namespace partners create secret generic partners --from-file=users.toml",
    "kubectl --namespace partners create secret generic keys --from-file=ssh_host_ed25519_key "
    "--from-file=new_key",
    "kubectl --namespace partners create secret generic store --from-literal=AWS_ACCESS_KEY_ID=… "
    "--from-literal=AWS_SECRET_ACCESS_KEY=…",
)


HELM_3 = Chart("3")
"""What it renders it does not compare with the schemas of the cluster, as Helm 4 does: this API has none."""


@pytest.fixture
def api() -> Iterator[Api]:
    with running_api() as started:
        yield started


def test_a_missing_secret_is_refused_with_its_namespace_and_the_command_that_makes_it(
    api: Api, chart: Chart, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        chart.asking(api.kubeconfig(tmp_path), NAMED)
    said = str(refused.value)
    for value, secret in {"users": "partners", "hostKeys": "keys", "credentials": "store"}.items():
        assert f"{value}.existingSecret = {secret}: there is no such Secret in namespace partners" in said
    for command in COMMANDS:
        assert f"`{command}`" in said


def test_a_secret_that_lacks_a_key_is_refused_with_the_key(api: Api, tmp_path: Path) -> None:
    _make(api, "partners", "users.toml")
    _make(api, "keys", "ssh_host_ed25519_key")
    _make(api, "store", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Refused) as refused:
        HELM_3.asking(api.kubeconfig(tmp_path), NAMED)
    assert "hostKeys.existingSecret = keys: the Secret in namespace partners lacks new_key" in str(
        refused.value
    )
    assert str(refused.value).count("  - ") == 1
    _make(api, "keys", "ssh_host_ed25519_key", "new_key")
    assert of_kind(HELM_3.asking(api.kubeconfig(tmp_path), NAMED), "Deployment")


def test_who_makes_the_secrets_later_or_may_not_read_them_can_install(api: Api, tmp_path: Path) -> None:
    api.forbidden = frozenset({"GET"})
    with pytest.raises(Refused, match="error calling lookup: secrets is forbidden"):
        HELM_3.asking(api.kubeconfig(tmp_path), NAMED)
    api.requests.clear()
    assert HELM_3.asking(api.kubeconfig(tmp_path), NAMED, {"checkSecrets": False})
    assert not [request for request in api.requests if request.startswith("GET /partners")]


def test_notes_list_the_secrets_where_no_cluster_could_be_asked(rendered: Chart) -> None:
    notes = rendered.notes(NAMED)
    assert "The pods start only when these Secrets are there:" in notes
    for command in COMMANDS:
        assert f"     {command}\n" in notes
    assert "these Secrets" not in rendered.notes(values_file("minimal"))


def _make(api: Api, name: str, *keys: str) -> None:
    data = dict.fromkeys(keys, "eA==")
    api.secrets[name] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
