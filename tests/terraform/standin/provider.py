"""A provider for Terraform that has the schema of the one for AWS and nothing else: it calls no API.

`provider.py SCHEMA` prints one line of JSON, for `TF_REATTACH_PROVIDERS`, and serves until its standard
input is closed. So one process serves all commands of a test run, `terraform init` installs nothing, and no
lock file names it. Runs in an environment of its own, with the packages `tf`, `grpcio` and `msgpack`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as messages
from tf.gen import tfplugin_pb2_grpc as services

Json = dict[str, Any]
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
MESSAGE_BYTES = 256 << 20


def attribute_of(name: str, said: Json) -> messages.Schema.Attribute:
    flags = {flag: said[flag] for flag in ("required", "optional", "computed")}
    if "nested_type" not in said:
        return messages.Schema.Attribute(name=name, type=json.dumps(said["type"]).encode(), **flags)
    nested = said["nested_type"]
    parts = [attribute_of(part, its) for part, its in nested["attributes"].items()]
    shape = messages.Schema.Object(nesting=NESTING[nested["nesting_mode"]], attributes=parts)
    return messages.Schema.Attribute(name=name, nested_type=shape, **flags)


def block_of(said: Json) -> messages.Schema.Block:
    nested = [
        messages.Schema.NestedBlock(
            type_name=name,
            block=block_of(its["block"]),
            nesting=NESTING[its["nesting_mode"]],
            min_items=its["min_items"],
            max_items=its["max_items"],
        )
        for name, its in said["block_types"].items()
    ]
    attributes = [attribute_of(name, its) for name, its in said["attributes"].items()]
    return messages.Schema.Block(attributes=attributes, block_types=nested)


def set_by_aws_alone(block: Json, value: Any, path: str = "") -> list[str]:
    """Attributes that a configuration sets although only AWS can."""
    found = []
    for name, said in block["attributes"].items():
        only_read = said["computed"] and not said["optional"] and not said["required"]
        if only_read and value.get(name) is not None:
            found.append(path + name)
    for name, nested in block["block_types"].items():
        inner = value.get(name)
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict):
                found += set_by_aws_alone(nested["block"], each, f"{path}{name}.")
    return found


class Provider(services.ProviderServicer):  # type: ignore[misc]
    """Answers what can be answered by a schema; refuses the rest."""

    def __init__(self, schema: Json) -> None:
        self._resources = schema["resource_schemas"]
        self._sources = schema["data_source_schemas"]
        self._answer = messages.GetProviderSchema.Response(
            provider=_schema(schema["provider"]),
            resource_schemas={name: _schema(block) for name, block in self._resources.items()},
            data_source_schemas={name: _schema(block) for name, block in self._sources.items()},
        )

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        return self._answer

    def GetMetadata(self, request: Any, context: Any) -> Any:
        metadata = messages.GetMetadata
        return metadata.Response(
            resources=[metadata.ResourceMetadata(type_name=name) for name in self._resources],
            data_sources=[metadata.DataSourceMetadata(type_name=name) for name in self._sources],
        )

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        return messages.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        value = msgpack.unpackb(request.config.msgpack, ext_hook=msgpack.ExtType, strict_map_key=False)
        wrong = set_by_aws_alone(self._resources[request.type_name], value or {})
        return messages.ValidateResourceConfig.Response(
            diagnostics=[
                _error("Value for unconfigurable attribute", f"{name} is set by AWS") for name in wrong
            ]
        )

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        return messages.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        return messages.ConfigureProvider.Response()

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        return messages.PlanResourceChange.Response(diagnostics=[_REFUSED])

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        return messages.ReadDataSource.Response(diagnostics=[_REFUSED])

    def StopProvider(self, request: Any, context: Any) -> Any:
        return messages.StopProvider.Response()


def _schema(block: Json) -> messages.Schema:
    return messages.Schema(version=0, block=block_of(block))


def _error(summary: str, detail: str) -> messages.Diagnostic:
    return messages.Diagnostic(severity=messages.Diagnostic.ERROR, summary=summary, detail=detail)


_REFUSED = _error(
    "This stand-in has only the schema of the provider for AWS", "use mock_provider, or the real one"
)


def main() -> None:
    schema = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    server = grpc.server(
        futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", MESSAGE_BYTES)]
    )
    services.add_ProviderServicer_to_server(Provider(schema), server)
    with tempfile.TemporaryDirectory() as directory:
        address = f"{directory}/provider.sock"
        server.add_insecure_port(f"unix://{address}")
        server.start()
        told = {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": os.getpid(),
            "Test": True,  # Terraform leaves it running
            "Addr": {"Network": "unix", "String": address},
        }
        print(json.dumps({"registry.terraform.io/hashicorp/aws": told}), flush=True)
        sys.stdin.read()
        server.stop(None)


if __name__ == "__main__":
    main()
