"""Reads JSON that others have made: bounded, typed, and every error says where in the file it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from s3sftp.config.problems import shown
from s3sftp.errors import ConfigurationError

M = TypeVar("M", bound=BaseModel)
_MAX_BYTES = 64 << 20
_MAX_DEPTH = 100
_MOST_TOLD = 20
_MAX_TEXT_CHARS = 8192


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should have no control characters and no halves of characters")
    return text


Text = Annotated[str, Field(max_length=_MAX_TEXT_CHARS), AfterValidator(_printable)]
"""A text without control characters."""
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class Input(BaseModel):
    """An object of an export. Fields that it does not declare are kept in `model_extra`, so that they can be
    reported; null is as if the field were not there."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: each for name, each in value.items() if each is not None}
        return value

    @property
    def others(self) -> Mapping[str, Any]:
        """The fields that are not declared, without empty ones."""
        return {name: value for name, value in (self.model_extra or {}).items() if not is_empty(value)}


def is_empty(value: object) -> bool:
    """Whether a value says nothing: null, 0, false, an empty text, or a list or object of such values."""
    if isinstance(value, dict):
        return all(map(is_empty, value.values()))
    return not value or (isinstance(value, list) and all(map(is_empty, value)))


def read_json(file: Path) -> list[Any]:
    """The JSON values in a file, one after the other, such as the output of several commands.

    Raises ConfigurationError: if the file cannot be read, or is not JSON; names the line.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigurationError(f"{file} is larger than {_MAX_BYTES >> 20} MiB")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text (byte {error.start})") from error
    try:
        values = list(_values_in(text))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(f"{file} is not valid JSON: {error.msg} ({place})") from None
    except RecursionError:
        raise ConfigurationError(f"{file} is not usable JSON: its values are nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"{file} is not usable JSON: {error}") from None
    if not values:
        raise ConfigurationError(f"{file} is empty; it should be JSON")
    return values


def checked(model: type[M], value: object, place: str, file: Path) -> M:
    """The value as this model. `place` is its JSON path in the file, such as `users[3]`.

    Raises ConfigurationError: if it has another form; names the JSON path of each error.
    """
    if (deep := _too_deep(value, place)) is not None:
        raise ConfigurationError(f"{file}: {deep} is nested too deeply")
    try:
        return model.model_validate(value)
    except ValidationError as errors:
        found = errors.errors(include_url=False, include_context=False)
        problems = [f"{file}: {_at(place, error['loc'])}{_problem(error)}" for error in found[:_MOST_TOLD]]
        if len(found) > _MOST_TOLD:
            problems.append(f"{file}: and {len(found) - _MOST_TOLD} more")
        raise ConfigurationError(problems) from None


def _problem(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Input should", "should").replace("String should", "should")
    if error["type"] == "missing":
        return " is missing"
    if isinstance(error["input"], dict | list):
        return f": {message}"
    names = tuple(str(step) for step in error["loc"]) or ("value",)
    return f" = {shown(names, error['input'])}: {message}"


def _at(place: str, steps: tuple[int | str, ...]) -> str:
    """A JSON path. What a file names is shown escaped and cut."""
    for step in steps:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step != "[key]":
            name = step if step.isidentifier() and step.isascii() else json.dumps(step)
            name = name if len(name) <= 60 else name[:60] + "…"
            place += f".{name}" if place else name
    return place


def _values_in(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    position = _skip_blanks(text, 0)
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        yield value
        position = _skip_blanks(text, position)


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError: if a name is there twice, of which programs take one or the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {json.dumps(repeated)[:60]} is twice in one object")
    return found


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not a number in JSON")


def _too_deep(value: object, place: str) -> str | None:
    """The place of what is nested deeper than any export."""
    level: list[tuple[object, str]] = [(value, place)]
    for _ in range(_MAX_DEPTH):
        level = [
            (each, _at(where, (step,)))
            for inner, where in level
            for step, each in _steps(inner)
            if isinstance(each, dict | list)
        ]
        if not level:
            return None
    return level[0][1][:200]


def _steps(value: object) -> list[tuple[int | str, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []
