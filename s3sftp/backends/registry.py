"""Finds storage backends by name: the built-in ones, and those that other packages register.

A package registers one by an entry point of the group `s3sftp.backends`: a callable, such as a class, that
takes its options as a mapping and returns a `Backend`.

    [project.entry-points."s3sftp.backends"]
    notes = "acme_notes:NotesBackend"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from pydantic import ValidationError

from s3sftp.backends.contract import Backend
from s3sftp.config.problems import describe, suggestion
from s3sftp.errors import ConfigurationError, describe_unexpected

GROUP = "s3sftp.backends"


@dataclass(frozen=True, slots=True)
class BuiltInBackend:
    """What the server has to know about a built-in backend before it is made."""

    needs: str | None = None
    """The group of options that it requires."""
    missing: str = ""
    """The error message for the case that this group is missing."""
    in_one_process: bool = False
    """Whether its files are in the memory of the process, which rules out a second worker."""


BUILT_IN: Mapping[str, BuiltInBackend] = {
    "s3": BuiltInBackend(
        "s3", "s3.bucket is missing: name it in [s3], or with `s3sftp serve s3://BUCKET/PREFIX`"
    ),
    "local": BuiltInBackend(
        "local", "local.root is missing: name the directory in [local], or as S3SFTP_LOCAL__ROOT"
    ),
    "service": BuiltInBackend(
        "service", "service.socket is missing: name it in [service], or as S3SFTP_SERVICE__SOCKET"
    ),
    "memory": BuiltInBackend(in_one_process=True),
}
"""The built-in backends by name. `app_backends` makes them."""


def backend_name_problem(name: str) -> str | None:
    """The problem with the name of a backend; None if there is none."""
    if name in BUILT_IN:
        return None
    found = _entry_points(name)
    if not found:
        known = [*BUILT_IN, *sorted({entry.name for entry in entry_points(group=GROUP)})]
        return f"no such storage is installed{suggestion(name, known)}"
    if len({entry.value for entry in found}) > 1:
        packages = ", ".join(sorted(_package_of(entry) for entry in found))
        return f"several packages have a storage of this name: {packages}"
    return None


def make_installed_backend(name: str, options: Mapping[str, Any]) -> Backend:
    """Make a backend that another package has registered.

    Raises ConfigurationError: if no package registers the name, or if making it fails.
    """
    if (problem := backend_name_problem(name)) is not None:
        raise ConfigurationError([f"backend = '{name}': {problem}"])
    entry = _entry_points(name)[0]
    make = _load(entry)
    try:
        made = make(_plain(options))
    except ConfigurationError as error:
        raise ConfigurationError([f"backend {name}: {problem}" for problem in error.problems]) from error
    except ValidationError as errors:
        raise ConfigurationError(_option_problems(errors)) from errors
    except KeyError as error:
        if error.args[0] in options:
            raise ConfigurationError([f"backend {name}: {describe_unexpected(error)}"]) from error
        raise ConfigurationError([f"backend_options.{error.args[0]} is missing"]) from error
    except (TypeError, ValueError, OSError) as error:
        raise ConfigurationError([f"backend {name}: {error}"]) from error
    except Exception as error:  # a foreign package may raise anything
        raise ConfigurationError([f"backend {name}: {describe_unexpected(error)}"]) from error
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(
            [f"backend {name}: {entry.value} is async; what takes time belongs into start"]
        )
    return cast(Backend, made)  # `examine` checks it before it is started


def _load(entry: EntryPoint) -> Callable[[Mapping[str, Any]], object]:
    try:
        make = entry.load()
    except Exception as error:  # the import of a module may raise anything
        what = f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            [f"backend {entry.name}: {entry.value} of {_package_of(entry)} cannot be imported: {what}"]
        ) from error
    if not callable(make):
        raise ConfigurationError([f"backend {entry.name}: {entry.value} cannot be called"])
    return cast("Callable[[Mapping[str, Any]], object]", make)


def _plain(value: Any) -> Any:
    """A copy with dates as texts, the form in which workers get them."""
    match value:
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case date() | time():
            return value.isoformat()
    return value


def _option_problems(errors: ValidationError) -> list[str]:
    problems = []
    for error in errors.errors(include_url=False, include_context=False):
        path = ("backend_options", *map(str, error["loc"]))
        problems.append(describe(error, path, None, ()))
    return list(dict.fromkeys(problems))


def _entry_points(name: str) -> list[EntryPoint]:
    return list(entry_points(group=GROUP, name=name))


def _package_of(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown package"
