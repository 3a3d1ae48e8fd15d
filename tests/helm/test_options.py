"""The values mirror the options of the server, and what is rendered of them is taken by the server."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from s3sftp.app.options import ServerOptions, load_users_alone
from s3sftp.auth import GroupOptions, UserOptions
from s3sftp.config import SourceFiles
from s3sftp.ssh.host_keys import FILES, generate
from tests.cli.command_process import s3sftp
from tests.helm.chart import CHART, VALUES_FILES, Chart, Refused, only, options_file, server, values_file
from tests.helm.tools import ROOT, tool

SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
ELSEWHERE = {
    "users": "config.users would be readable",
    "ssh.host_keys": "config.ssh.host_keys is set from hostKeys.files",
    "s3.access_key_id": "config.s3.access_key_id would be readable",
    "s3.secret_access_key": "config.s3.secret_access_key would be readable",
    "s3.session_token": "config.s3.session_token would be readable",
}
"""Options that the templates refuse under `config`, and what they say to that."""


def test_config_has_every_option_and_no_other() -> None:
    groups = SCHEMA["properties"]["config"]["properties"]
    assert set(groups) == set(ServerOptions.model_fields)
    for name, field in ServerOptions.model_fields.items():
        group = _model_in(field.annotation)
        if group is not None and name not in ("users", "groups"):
            schema = groups[name]["additionalProperties"] if name == "storages" else groups[name]
            assert set(schema["properties"]) == set(group.model_fields), name
            assert schema["additionalProperties"] is False


def test_users_have_every_option_of_a_user_and_no_other() -> None:
    user = SCHEMA["properties"]["users"]["properties"]["inline"]["additionalProperties"]
    assert set(user["properties"]) == set(UserOptions.model_fields)
    assert user["additionalProperties"] is False
    group = SCHEMA["properties"]["users"]["properties"]["groups"]["additionalProperties"]
    assert set(group["properties"]) == set(GroupOptions.model_fields)


@pytest.mark.parametrize("option", ELSEWHERE)
def test_what_belongs_elsewhere_is_refused_with_the_place(option: str, rendered: Chart) -> None:
    group, _, name = option.partition(".")
    value: Any = {"alice": {"password_hash": "x"}} if not name else ["x"] if name == "host_keys" else "x"
    config = {group: {name: value} if name else value}
    with pytest.raises(Refused, match=re.escape(ELSEWHERE[option])):
        rendered.text(VALUES_FILES[0], {"config": config})


def test_the_schema_knows_every_value_and_takes_those_of_the_chart() -> None:
    _compare(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")), SCHEMA, "")


def test_the_schema_is_what_the_options_and_comments_say() -> None:
    assert (CHART / "values.schema.json").read_text("utf-8") == tool("schema").rendered()


def test_the_table_of_values_is_what_the_comments_say() -> None:
    assert (CHART / "README.md").read_text("utf-8") == tool("readme").page()


def test_every_value_has_a_comment() -> None:
    commented = tool("comments").comments()
    bare = [
        path
        for path in _paths(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))
        if not any(path == each or path.startswith(f"{each}.") for each in commented)
    ]
    assert bare == []


def test_the_versions_of_chart_and_server_are_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert str(chart["appVersion"]) == project["version"]


@pytest.mark.parametrize("values", VALUES_FILES, ids=lambda file: file.stem)
async def test_the_server_takes_the_rendered_configuration(
    values: Path, rendered: Chart, tmp_path: Path
) -> None:
    objects = rendered.objects(values)
    config = _on_this_machine(objects, tmp_path)
    done = await asyncio.to_thread(
        s3sftp, "check", "--offline", "--config", str(config), **_environment(objects)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_an_option_that_the_server_does_not_take_is_found(rendered: Chart, tmp_path: Path) -> None:
    config = _on_this_machine(rendered.objects(values_file("minimal")), tmp_path)
    config.write_text(config.read_text("utf-8").replace("port = 2022", "port = 2022.5"), "utf-8")
    done = s3sftp("check", "--offline", "--config", str(config))
    assert done.returncode == 2
    assert "listen.port = 2022.5" in done.stderr


def test_whatever_a_value_has_in_it_arrives(chart: Chart) -> None:
    strange = '"quotes" \\ back\\slash\nline\ttab \x01 <&> é 💾 {{ .Values }} \'\'\' """ #'
    if chart.major == "4":
        strange += "\x7f"  # Helm 3 takes no values with it
    options = {
        "backend": "elsewhere",
        "backend_options": {
            "text": strange,
            "whole": 5_497_558_138_880,
            "half": 0.5,
            "yes": True,
            "list": [1, "two", [3.5, False]],
            "tables": {strange: {"deep.er": [{"a b": "c"}]}},
            "nothing": {},
        },
        "ssh": {"rekey_bytes": 1_073_741_824},
    }
    found = tomllib.loads(options_file(chart.objects(VALUES_FILES[0], {"config": options})))
    assert found["backend"] == "elsewhere"
    assert found["backend_options"] == options["backend_options"]
    assert found["ssh"]["rekey_bytes"] == 1_073_741_824
    assert type(found["backend_options"]["whole"]) is int
    assert "s3" not in found


def test_users_arrive_whatever_their_names_and_attributes(chart: Chart) -> None:
    users = {
        "a.b@example.com": {
            "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA",
            "attributes": {"tenant id": 'a "b"'},
            "directories": ["in box", "out"],
        },
        "bob": {
            "authorized_keys": ['from="10.0.0.0/8" ssh-ed25519 AAAA bob'],
            "read_only": True,
            "prefix": "",
        },
    }
    objects = chart.objects({"config": {"s3": {"bucket": "acme"}}, "users": {"inline": users}})
    assert tomllib.loads(only(objects, "Secret")["stringData"]["users.toml"])["users"] == users


def test_groups_reach_the_same_file_and_give_their_users_what_they_say(chart: Chart, tmp_path: Path) -> None:
    groups = {
        "all": {"attributes": {"tenant id": "${user}"}},
        "a.b": {"group": ["all"], "prefix": "partners/${user}/", "read_only": True},
    }
    users = {"bob": {"group": "a.b", "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"}}
    values = {"config": {"s3": {"bucket": "acme"}}, "users": {"inline": users, "groups": groups}}
    file = tmp_path / "users.toml"
    file.write_text(only(chart.objects(values), "Secret")["stringData"]["users.toml"])
    bob = load_users_alone(None, [file], SourceFiles()).tables.users["bob"]
    assert (bob.prefix_of("bob"), bob.read_only) == ("partners/bob/", True)
    assert bob.attributes == {"tenant id": "bob"}


def _on_this_machine(objects: list[Any], directory: Path) -> Path:
    """The files of the pod below a directory; host keys are made, users are those of the values."""
    for file in FILES:
        generate(directory / "host-keys" / file, FILES[file])
    (directory / "users").mkdir()
    for each in objects:
        for name, text in each.get("stringData", {}).items():
            (directory / "users" / name).write_text(text, "utf-8")
    config = directory / "s3sftp.toml"
    config.write_text(options_file(objects).replace("/etc/s3sftp", str(directory)), "utf-8")
    return config


def _environment(objects: list[Any]) -> dict[str, str]:
    (container,) = (each for each in server(objects)["spec"]["containers"] if each["name"] == "s3sftp")
    return {
        each["name"]: each["value"]
        for each in container["env"]
        if each["name"].startswith("S3SFTP_") and each["name"] != "S3SFTP_CONFIG"
    }


def _compare(values: Any, schema: dict[str, Any], path: str) -> None:
    if not isinstance(values, dict) or "properties" not in schema:
        return
    unknown = set(values) - set(schema["properties"])
    assert not unknown, f"{path}: {unknown}"
    assert schema["additionalProperties"] is False, path
    for name, value in values.items():
        _compare(value, schema["properties"][name], f"{path}.{name}")


def _paths(values: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        path = f"{above}{name}"
        found += _paths(value, f"{path}.") if isinstance(value, dict) and value else [path]
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None
