"""Loads botocore's descriptions of services once per process, without the parts that a server never needs.

botocore itself spends 12 MB of memory on them in each session: more than half for the addresses of three
hundred services, the rest for requests that this package never sends, and for their documentation.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader, create_loader

SERVICES = frozenset(
    {"s3", "sts", "oidc", "portal.sso", "dynamodb", "secretsmanager", "sqs", "sns", "events"}
)
"""Services that requests go to, including those for credentials, users and events, by their names in
`endpoints.json`."""


APIS = frozenset(
    (
        *(
            "HeadBucket",
            "ListObjectsV2",
            "ListObjects",
            "GetBucketVersioning",
            "GetBucketLifecycleConfiguration",
        ),
        *("HeadObject", "GetObject", "PutObject", "CopyObject", "DeleteObject", "DeleteObjects"),
        *("GetObjectTagging", "ListMultipartUploads", "ListParts"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy"),
        *("CompleteMultipartUpload", "AbortMultipartUpload"),
        "CreateSession",  # botocore sends it for directory buckets
    )
)
"""The S3 requests that a client can send. Other requests are dropped, with the shapes that only they need."""
_APIS_OF = {
    "s3": APIS,
    "dynamodb": frozenset({"GetItem", "PutItem", "UpdateItem", "Query"}),
    "secretsmanager": frozenset({"GetSecretValue"}),
    "sqs": frozenset({"SendMessageBatch"}),
    "sns": frozenset({"PublishBatch"}),
    "events": frozenset({"PutEvents"}),
}


@cache
def model_loader(search_path: str | None) -> Loader:
    """Return a session's loader; `search_path` is botocore's `data_path` (AWS_DATA_PATH)."""
    loader = create_loader(search_path)
    loader.file_loader = _LeanFiles()
    return loader


def preload_models() -> None:
    """Load what each client of a bucket needs, before forking the processes that will share it."""
    loader = model_loader(os.environ.get("AWS_DATA_PATH"))
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", kind)


@cache
def has_parameter(api: str, parameter: str) -> bool:
    """Whether the installed botocore knows a parameter of a request."""
    data = model_loader(os.environ.get("AWS_DATA_PATH")).load_service_model("s3", "service-2")
    shape = data["operations"][api].get("input", {}).get("shape")
    return shape is not None and parameter in data["shapes"][shape].get("members", {})


class _LeanFiles(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    def load_file(self, file_path: str) -> Any:
        """Load a file into plain dictionaries instead of ordered ones. None if there is no such file."""
        for path, opened in ((f"{file_path}.json", open), (f"{file_path}.json.gz", gzip.open)):
            if os.path.isfile(path):
                with opened(path, "rb") as file:
                    return _lean(Path(file_path), json.loads(file.read()))
        return None


def _lean(path: Path, data: Any) -> Any:
    if path.name == "endpoints":
        for partition in data["partitions"]:
            partition["services"] = _only(partition["services"], SERVICES)
    if path.name == "service-2":
        if (apis := _APIS_OF.get(path.parts[-3])) is not None:
            data["operations"] = _only(data["operations"], apis)
            data["shapes"] = _only(data["shapes"], _needed(data["operations"], data["shapes"]))
        for part in ("shapes", "operations"):
            _forget_documentation(data[part])
    return data


def _only(data: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name in names}


def _needed(operations: Any, shapes: dict[str, Any]) -> set[str]:
    """Return the names of all shapes that the operations use, directly or indirectly."""
    found: set[str] = set()
    new = set(_mentioned(operations))
    while new:
        found |= new
        new = {name for each in new for name in _mentioned(shapes[each])} - found
    return found


def _mentioned(data: Any) -> Iterator[str]:
    match data:
        case {"shape": str(name)}:
            yield name
    for value in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _mentioned(value)


def _forget_documentation(data: Any) -> None:
    match data:
        case dict():
            if isinstance(data.get("documentation"), str):  # unlike a shape or a member of that name
                del data["documentation"]
            for value in data.values():
                _forget_documentation(value)
        case list():
            for value in data:
                _forget_documentation(value)
