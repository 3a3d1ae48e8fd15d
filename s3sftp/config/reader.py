"""Turns settings into typed groups of options, and collects every problem on the way.

Groups are validated one by one, so that a mistake in one does not hide those in the next, and checks between
groups can still use the groups that are valid.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from s3sftp.config.layers import Path_, Setting, Settings
from s3sftp.config.problems import describe, suggestion

M = TypeVar("M", bound=BaseModel)
Where = Callable[[Path_], str | None]
"""Tells where the value at a path was written."""


@dataclass(slots=True)
class ReadResult:
    """The result of reading: the valid groups, and the problems of the others."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read(root: type[BaseModel], settings: Settings, apart: Collection[str] = ()) -> ReadResult:
    """Validate each field of `root` against the settings under its name, except the fields `apart`."""
    reading = ReadResult()
    known = root.model_fields
    unknown = sorted({path[0] for path in settings.by_path} - set(known))
    for name in unknown:
        where = settings.origin((name,))
        reading.problems.append(f"{name} ({where}): unknown group{suggestion(name, known)}")
    for name, info in known.items():
        if name not in apart:
            _read_field(name, info.annotation, settings, reading)
    return reading


def tables_below(settings: Settings, name: str, model: type[BaseModel]) -> object:
    """What the settings have under `name`, a table of tables with options of `model`; not validated."""
    return _tree(settings.below(name), Mapping[str, model], {})  # type: ignore[valid-type]


def _read_field(name: str, annotation: Any, settings: Settings, reading: ReadResult) -> None:
    written = settings.below(name)
    nested: dict[str, Any] | None = {} if _model_in(annotation) else None
    if not written and (nested is None or type(None) in get_args(annotation)):
        return  # an option outside any group, or an optional group: its default applies
    _validate((name,), annotation, _tree(written, annotation, nested), settings.origin, reading)


def read_table(
    model: type[M], path: tuple[str, ...], table: object, where: Where, problems: list[str]
) -> M | None:
    """Validate one table by itself; its problems are added to `problems`."""
    reading = ReadResult()
    _validate(path, model, table, where, reading)
    problems += reading.problems
    return reading.values.get(path[-1])


def _validate(path: tuple[str, ...], wanted: Any, raw: Any, where: Where, reading: ReadResult) -> None:
    is_model = isinstance(wanted, type) and issubclass(wanted, BaseModel)
    # making an adapter takes longer than validating a user's table
    validate = wanted.model_validate if is_model else TypeAdapter(wanted).validate_python
    try:
        reading.values[path[-1]] = validate(raw)
    except ValidationError as errors:
        for error in errors.errors(include_url=False, include_context=False):
            at = (*path, *_option_path(wanted, error["loc"]))
            known = _names_at(wanted, at[len(path) : -1], error["loc"])
            problem = describe(error, at, where(at), known)
            if problem not in reading.problems:
                reading.problems.append(problem)


def _option_path(annotation: Any, location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The names of options in a location, without the tags of unions, which nobody has written."""
    found: tuple[str, ...] = ()
    untagged: tuple[str, ...] | None = None
    for step in location:
        if _is_inner(step):
            continue
        if untagged != found and len(_models_in(_annotation_at(annotation, found))) > 1:
            untagged = found  # this step is the tag, though an option may have the same name
            continue
        found = (*found, str(step))
    return found


def _is_inner(step: int | str) -> bool:
    # pydantic includes the branch of a union and the name of a validator function in the location
    return isinstance(step, str) and ("[" in step or "(" in step)


def _tree(written: list[Setting], annotation: Any, empty: Any) -> Any:
    """Nest the settings below a field again; texts become lists where the option is a list."""
    tree: Any = empty
    for setting in written:
        path = setting.path[1:]
        value = setting.value
        if setting.is_text and isinstance(value, str):
            value = _read_text(value, _annotation_at(annotation, path))
        if not path:
            tree = value
            continue
        if not isinstance(tree, dict):
            tree = {}
        at = tree
        for step in path[:-1]:
            below = at.get(step)
            at[step] = below if isinstance(below, dict) else {}
            at = at[step]
        at[path[-1]] = value
    return tree


def _read_text(text: str, annotation: Any) -> object:
    """Parse a text: a list is JSON or separated by commas, a table is JSON; other types parse it
    themselves."""
    kind = _collection(annotation)
    if kind is None:
        return text
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if kind is dict:
        return text
    separator = "\n" if "\n" in text else ","
    return [part.strip() for part in text.split(separator) if part.strip()]


def _collection(annotation: Any) -> type | None:
    for candidate in (annotation, *get_args(annotation)):
        origin = get_origin(candidate) or candidate
        if origin in (list, tuple, set, frozenset):
            return list
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return dict
    return None


def _annotation_at(annotation: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if get_origin(annotation) in (dict, Mapping) and _models_in(get_args(annotation)[1]):
            annotation = get_args(annotation)[1]
            continue
        model = next((each for each in _models_in(annotation) if step in each.model_fields), None)
        if model is None:
            return None
        annotation = model.model_fields[step].annotation
    return annotation


def _names_at(annotation: Any, path: tuple[str, ...], location: tuple[int | str, ...]) -> list[str]:
    """The names of options at a path. Of a union, those of the model whose tag is in the location."""
    models = _models_in(_annotation_at(annotation, path))
    tagged = [each for each in models if any(_has_tag(each, step) for step in location)]
    return sorted({name for model in tagged or models for name in model.model_fields})


def _has_tag(model: type[BaseModel], step: int | str) -> bool:
    return any(step in get_args(field.annotation) for field in model.model_fields.values())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation: the annotation itself, or the one in `Model | None`."""
    return next(iter(_models_in(annotation)), None)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation: itself, those of a union, annotated or not. Not the values of a table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated:
        return _models_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [model for each in get_args(annotation) for model in _models_in(each)]
    return []
