"""botocore's descriptions of S3: read once for all sessions of a process, without what a server never needs.

botocore itself takes 12 MB of memory for them in each session: more than half for the addresses of three
hundred services, the rest for requests that nobody here makes, and for their documentation.
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

SERVICES = frozenset({"s3", "sts", "oidc", "portal.sso"})
"""Those that requests go to, credentials' included, by the names that `endpoints.json` has for them."""


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
        "CreateSession",  # botocore makes it for directory buckets
    )
)
"""The requests of S3 that a client can make; others are forgotten, and what only they need."""


@cache
def model_loader(search_path: str | None) -> Loader:
    """What a session reads descriptions with; `search_path` is botocore's `data_path` (AWS_DATA_PATH)."""
    loader = create_loader(search_path)
    loader.file_loader = _LeanFiles()
    return loader


def preload_models() -> None:
    """Read what each client of a bucket needs, before processes are forked that are to share it."""
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
        """What a file says, or None if there is none; in plain dictionaries, not in ordered ones."""
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
        if path.parts[-3] == "s3":
            data["operations"] = _only(data["operations"], APIS)
            data["shapes"] = _only(data["shapes"], _needed(data["operations"], data["shapes"]))
        for part in ("shapes", "operations"):
            _forget_documentation(data[part])
    return data


def _only(data: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name in names}


def _needed(operations: Any, shapes: dict[str, Any]) -> set[str]:
    """The shapes that operations are made of, down to the last."""
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
            if isinstance(data.get("documentation"), str):  # not a shape or a member of that name
                del data["documentation"]
            for value in data.values():
                _forget_documentation(value)
        case list():
            for value in data:
                _forget_documentation(value)
