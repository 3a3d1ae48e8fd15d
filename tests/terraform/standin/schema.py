"""The schema of Terraform's provider for AWS, read from bindings that were generated from it.

The wheel `cdktn-provider-aws` has a JavaScript class for each type of the provider. Three things in it tell
all that `terraform providers schema` does of names and types (not of values):

    // bucket - computed: true, optional: true, required: false     an argument or attribute
    get bucket() { return this.getStringAttribute('bucket'); }      its type, when it is only read
    bucket: { value: …, isBlock: false, type: "simple", … }         its type, when it can be written
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TYPE = re.compile(r'static tfResourceType = "([a-z0-9_]+)"')
_PART = re.compile(r"^(?:function|class) (\w+)[^\n]*\{\n(.*?)^\}", re.M | re.S)
_FLAGS = re.compile(
    r"^    // (?P<name>[a-z0-9_]+) - computed: (?P<computed>true|false), optional: (?P<optional>true|false), "
    r"required: (?P<required>true|false)\n(?P<body>.*?)(?=^    // [a-z0-9_]+ - computed|\Z)",
    re.M | re.S,
)
_WRITTEN = re.compile(
    r'^\s+"?(?P<name>[a-z0-9_]+)"?: \{\n\s+value: (?P<value>.*),\n\s+isBlock: (?P<block>true|false),\n'
    r'\s+type: "(?P<shape>\w+)",\n\s+storageClassType: "(?P<kind>\w+)",',
    re.M,
)
_SCALARS = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
_GETTERS: dict[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
_NESTING = {"list": "list", "set": "set", "struct": "single", "map": "map"}


def schema_from(wheel: Path, types: set[str]) -> Json:
    """The schema of the provider, and of the named types: resources, and data sources as `data.aws_…`.

    Raises LookupError for a type that the provider does not have.
    """
    found: Json = {"provider": None, "resource_schemas": {}, "data_source_schemas": {}}
    for directory, source in _sources(wheel):
        match = _TYPE.search(source)
        if match is None:
            continue
        name = match[1]
        if name == "aws":
            found["provider"] = _Bindings(source).block()
        elif directory.startswith("data-aws-"):
            if f"data.{name}" in types:
                found["data_source_schemas"][name] = _Bindings(source).block()
        elif name in types:
            found["resource_schemas"][name] = _Bindings(source).block()
    have = set(found["resource_schemas"]) | {f"data.{name}" for name in found["data_source_schemas"]}
    if missing := types - have:
        raise LookupError(f"the provider has no {', '.join(sorted(missing))}")
    return found


def _sources(wheel: Path) -> Iterator[tuple[str, str]]:
    """Each file of the bindings, with the directory that it is in."""
    with zipfile.ZipFile(wheel) as package:
        inner = next(name for name in package.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(package.read(inner))) as files:
            for member in files:
                if member.name.startswith("package/lib/") and member.name.endswith("/index.js"):
                    content = files.extractfile(member)
                    assert content is not None
                    yield member.name.split("/")[2], content.read().decode()


class _Bindings:
    """One file of the bindings: one type with the blocks inside it."""

    def __init__(self, source: str) -> None:
        self._parts = {match[1]: match[2] for match in _PART.finditer(source)}

    def block(self) -> Json:
        """The type itself."""
        name = next(name for name, body in self._parts.items() if _TYPE.search(body))
        body = self._parts[name]
        return self._block(name, body[body.find("synthesizeHclAttributes") :])

    def _block(self, name: str, written_text: str) -> Json:
        """What class `name` is, of which `written_text` names what can be written."""
        block: Json = {"attributes": {}, "block_types": {}}
        written = {match["name"]: match for match in _WRITTEN.finditer(written_text)}
        told = {match["name"]: match for match in _FLAGS.finditer(self._parts.get(name, ""))}
        for argument, match in written.items():
            self._add_written(block, argument, match, _flags(told.get(argument)))
        for attribute, match in told.items():
            if attribute not in written:
                block["attributes"][attribute] = {"type": self._read_type(match["body"]), **_flags(match)}
        return block

    def _add_written(self, block: Json, name: str, match: re.Match[str], flags: Json) -> None:
        if match["block"] == "false" and (simple := _simple_type(match["shape"], match["kind"])):
            block["attributes"][name] = {"type": simple, **flags}
            return
        nesting, inner = _NESTING[match["shape"]], self._inner(match["value"])
        if match["block"] == "false":
            nested = {"nesting_mode": nesting, "attributes": inner["attributes"]}
            block["attributes"][name] = {"nested_type": nested, **flags}
            return
        is_list = "listMapperHcl" in match["value"]
        block["block_types"][name] = {
            "nesting_mode": nesting,
            "block": inner,
            "min_items": 1 if flags["required"] else 0,
            "max_items": 0 if is_list or nesting in ("single", "map") else 1,
        }

    def _inner(self, value: str) -> Json:
        """The block that a value such as `listMapperHcl(lbSubnetMappingToHclTerraform, true)(…)` writes."""
        match = re.search(r"(\w+)ToHclTerraform", value)
        if match is None or (function := match[0]) not in self._parts:
            return {"attributes": {}, "block_types": {}}
        return self._block(match[1][0].upper() + match[1][1:] + "OutputReference", self._parts[function])

    def _read_type(self, body: str) -> Any:
        """The type of what is only read, by its getter."""
        getter = re.search(r"this\.(get\w+Attribute)\(", body)
        if getter is not None:
            found = _GETTERS.get(getter[1], "dynamic")
            return ["set", found[1]] if "Fn.tolist" in body and found[0] == "list" else found
        nested = re.search(
            r'new (\w+?)(List|Map|OutputReference)\(this, "[a-z0-9_]+"(?:, (true|false))?\)', body
        )
        if nested is None:
            return "dynamic"
        inner = self._block(nested[1] + "OutputReference", "")
        shape = ["object", {name: attribute["type"] for name, attribute in inner["attributes"].items()}]
        if nested[2] == "OutputReference":
            return shape
        return ["map" if nested[2] == "Map" else "set" if nested[3] == "true" else "list", shape]


def _flags(match: re.Match[str] | None) -> Json:
    if match is None:
        return {"computed": False, "optional": True, "required": False}
    return {flag: match[flag] == "true" for flag in ("computed", "optional", "required")}


def _simple_type(shape: str, kind: str) -> Any:
    """The type of an argument: `simple` `string`, or `set` of `stringList`; None for what has parts."""
    if shape == "simple" and kind in _SCALARS:
        return _SCALARS[kind]
    match = re.fullmatch(r"(string|number|boolean|any)((?:List|Map)*)", kind)
    if match is None:
        return None
    found: Any = _SCALARS[match[1]]
    layers = re.findall("List|Map", match[2])
    for index, layer in enumerate(layers, 1):
        is_outer = index == len(layers)
        found = ["map" if layer == "Map" else "set" if is_outer and shape == "set" else "list", found]
    return found


def write_schema(wheel: Path, types: set[str], target: Path) -> None:
    """Write the schema of `types` as JSON."""
    target.write_text(json.dumps(schema_from(wheel, types)), "utf-8")
