"""What is left of botocore's descriptions is all that the server needs, exactly as botocore has it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

import s3sftp.backends.s3
from s3sftp.backends.s3.http.service_model import APIS, SERVICES, model_loader


def both() -> tuple[Loader, Loader]:
    """What the server reads, and botocore, each anew: clients write into what they share."""
    return model_loader.__wrapped__(None), Loader()


def model(loader: Loader, service: str = "s3") -> ServiceModel:
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


def told(shape: Any, within: tuple[str, ...] = ()) -> Any:
    """All that a shape says, down to the last, without documentation."""
    if shape is None or shape.name in within:
        return getattr(shape, "name", None)
    inner = (*within, shape.name)
    members = {name: told(each, inner) for name, each in getattr(shape, "members", {}).items()}
    return (
        *(shape.name, shape.type_name, shape.serialization, shape.metadata),
        *(members, told(getattr(shape, "member", None), inner)),
    )


@pytest.mark.parametrize(
    ("service", "api"),
    [
        *(("s3", api) for api in sorted(APIS)),
        *(("dynamodb", api) for api in ("GetItem", "PutItem", "UpdateItem", "Query")),
        ("secretsmanager", "GetSecretValue"),
    ],
)
def test_a_request_is_described_as_botocore_describes_it(service: str, api: str) -> None:
    lean, whole = (model(loader, service).operation_model(api) for loader in both())
    assert lean.http == whole.http
    assert told(lean.input_shape) == told(whole.input_shape)
    assert told(lean.output_shape) == told(whole.output_shape)
    assert [told(shape) for shape in lean.error_shapes] == [told(shape) for shape in whole.error_shapes]


def test_every_request_that_the_code_makes_is_described() -> None:
    known = set(model(Loader()).operation_names)
    named = set()
    for file in Path(s3sftp.backends.s3.__file__).parent.rglob("*.py"):
        if file.name != "service_model.py":
            nodes = ast.walk(ast.parse(file.read_text("utf-8")))
            named |= {node.value for node in nodes if isinstance(node, ast.Constant) and node.value in known}
    assert named <= APIS


@pytest.mark.parametrize("partition", range(len(Loader().load_data("endpoints")["partitions"])))
def test_endpoints_of_the_services_are_what_they_are(partition: int) -> None:
    lean, whole = (loader.load_data("endpoints")["partitions"][partition] for loader in both())
    assert {name: value for name, value in lean.items() if name != "services"} == {
        name: value for name, value in whole.items() if name != "services"
    }
    assert lean["services"] == {name: each for name, each in whole["services"].items() if name in SERVICES}
