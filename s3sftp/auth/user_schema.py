"""The JSON Schema of files of users, made from the models: for editors, and for checks of pull requests.

A schema sees one file and one value at a time. It cannot say whether a group exists, a key can be used, a
name occurs in another file, or several options fit together; `s3sftp users check` does.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from s3sftp.auth.user_options import USER_NAME_PATTERN, GroupOptions, UserOptions
from s3sftp.config.option_texts import describe_options

_REF = "#/$defs/{model}"
_YES_OR_NO = ("true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "1", "0")


def user_schema() -> dict[str, Any]:
    """The schema (https://json-schema.org/draft/2020-12) of a file with `users` and `groups`."""
    describe_options(UserOptions, GroupOptions)
    defs: dict[str, Any] = {}
    for model, name in ((UserOptions, "user"), (GroupOptions, "group")):
        schema = _schema_of(model)
        defs |= schema.pop("$defs", {})
        defs[name] = schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Users of s3sftp",
        "description": "A TOML or YAML file of auth.users_file or auth.users_dir.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "users": _by_name("Users by name.", "user"),
            "groups": _by_name("What users have in common, by the name of the group.", "group"),
        },
        "$defs": dict(sorted(defs.items())),
    }


def _by_name(about: str, definition: str) -> dict[str, Any]:
    return {
        "description": about,
        "type": "object",
        "propertyNames": {"pattern": USER_NAME_PATTERN},
        "additionalProperties": {"$ref": _REF.format(model=definition)},
    }


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REF, schema_generator=_AsTheServerReads)
    # what the docstring says of the model stands on its page
    return {name: value for name, value in schema.items() if name != "title"}


class _AsTheServerReads(GenerateJsonSchema):
    """Texts for yes and no are as good as true and false: in YAML 1.2 `read_only: yes` is one. No option may
    be null, although some are None by default."""

    def generate(
        self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation"
    ) -> JsonSchemaValue:
        found = super().generate(schema, mode)
        _tidy(found)
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        words = "|".join(_either_case(word) for word in _YES_OR_NO)
        return {
            "anyOf": [
                {"type": "boolean"},
                {"type": "string", "pattern": f"^({words})$"},
                {"type": "number", "enum": [0, 1]},
            ]
        }


def _either_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


def _tidy(at: Any) -> None:
    """Remove the titles that repeat names, and defaults of null; join the lines of descriptions."""
    if isinstance(at, dict):
        for name, value in at.items():
            if name == "properties":
                for each in value.values():
                    each.pop("title", None)
            _tidy(value)
        if at.get("default", "") is None:
            del at["default"]
        if isinstance(at.get("description"), str):
            at["description"] = " ".join(at["description"].split())
    elif isinstance(at, list):
        for each in at:
            _tidy(each)
