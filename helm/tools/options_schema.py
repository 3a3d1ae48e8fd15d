"""JSON Schema of the options, as the values of the chart write them: one word for one option everywhere."""

from __future__ import annotations

import types
import typing
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo

from s3sftp.app.options import ServerOptions
from s3sftp.auth import AllowedSources, GroupOptions, UserOptions
from s3sftp.auth.access_options import is_words
from s3sftp.config import is_size
from s3sftp.config.option_texts import describe_options

Schema = dict[str, Any]

_DURATION = r"^\s*([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*(ms|s|sec|m|min|h|d)?\s*$"
_BYTES = r"^\s*[0-9]+\s*([kKmMgGtT]?[iI]?[bB])?\s*$"
_BOUNDS = {Ge: "minimum", Le: "maximum", Gt: "exclusiveMinimum", Lt: "exclusiveMaximum"}


describe_options(ServerOptions, UserOptions, GroupOptions)


def config() -> Schema:
    """Of `config`: every option there is. The templates refuse, with the reason, what belongs elsewhere."""
    properties = {name: _field(name, field) for name, field in ServerOptions.model_fields.items()}
    for named in (properties["storages"], properties["events"]["properties"]["sinks"]):
        named["propertyNames"] = {"pattern": "^[a-z][a-z0-9_-]{0,39}$"}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def user() -> Schema:
    """Of one of `users.inline`."""
    return _group(UserOptions)


def group() -> Schema:
    """Of one of `users.groups`."""
    return _group(GroupOptions)


def _group(group: type[BaseModel]) -> Schema:
    # none is required here: the templates say what is missing, and what to do about it
    properties = {name: _field(name, field) for name, field in group.model_fields.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _field(name: str, field: FieldInfo) -> Schema:
    of_field = _size() if is_size(field.metadata) else _type(name, field.annotation)
    schema = _bounded(of_field, field.metadata)
    if any(isinstance(each, WithJsonSchema) and _allows_text(each) for each in field.metadata):
        schema["type"] = [
            "string",
            *([schema["type"]] if isinstance(schema["type"], str) else schema["type"]),
        ]
    if field.description:
        schema["description"] = " ".join(field.description.split())
    return schema


def _allows_text(schema: WithJsonSchema) -> bool:
    """Whether a list may also be written as a text, as the names of groups."""
    return {"type": "string"} in (schema.json_schema or {}).get("anyOf", [])


def _type(name: str, annotation: Any) -> Schema:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated and is_words(arguments[1:]):
        return {"type": ["array", "string"], "items": {"type": "string"}}
    if origin is typing.Annotated:
        return _bounded(_size() if is_size(arguments[1:]) else _type(name, arguments[0]), arguments[1:])
    if origin in (typing.Union, types.UnionType):
        groups = [each for each in arguments if each is not type(None)]
        if len(groups) > 1:  # a table whose `type` decides which options it has
            return {"anyOf": [_type(name, each) for each in groups]}
        return _or_null(_type(name, groups[0]))
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (tuple, list):
        return {"type": "array", "items": _type("", arguments[0])}
    if origin is dict:
        inner = {} if arguments[1] is Any else _type("", arguments[1])
        return {"type": "object", "additionalProperties": inner or True}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _group(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [member.value for member in annotation]}
    return _scalar(name, annotation)


def _scalar(name: str, annotation: Any) -> Schema:
    if annotation is timedelta:
        return {"type": ["number", "string"], "minimum": 0, "pattern": _DURATION}
    if annotation is AllowedSources:
        return {"type": ["array", "string"], "items": {"type": "string"}}
    if annotation is int and name.endswith("_mode"):
        return {"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"}  # a number would be decimal
    plain = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        Path: "string",
        SecretStr: "string",
        datetime: "string",
    }
    return {"type": plain[annotation]}


def _size() -> Schema:
    return {"type": ["integer", "string"], "pattern": _BYTES}


def _or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if "properties" in schema:
        return schema  # a group that nothing is said of is left out
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": list(dict.fromkeys([*kinds, "null"]))}


def _bounded(schema: Schema, metadata: typing.Sequence[Any]) -> Schema:
    for each in metadata:
        if isinstance(each, FieldInfo):
            schema = _bounded(schema, each.metadata)
        elif isinstance(each, MinLen | MaxLen):
            kind = {"array": "Items", "object": "Properties"}.get(str(schema.get("type")), "Length")
            least = isinstance(each, MinLen)
            schema[f"{'min' if least else 'max'}{kind}"] = each.min_length if least else each.max_length
        elif (word := _BOUNDS.get(type(each))) is not None:
            bound = getattr(each, type(each).__name__.lower())
            schema[word] = bound.total_seconds() if isinstance(bound, timedelta) else bound
    return schema
