"""Finds out what a backend can do, once, before it is started, and reports all mistakes in it together.

A method that is only inherited from the protocols in `contract` does not count. The core's arguments must fit
the signature of each method, and methods that wait must be async. A mistake is a `ConfigurationError` at
start-up that names the backend and the method, instead of a failed transfer of some user.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from s3sftp.backends.contract import Backend, CompleteBackend, Extras, RangedReads, StreamedWrites
from s3sftp.backends.operations import LIFE_CYCLE, OPERATIONS, Operation, names_of
from s3sftp.errors import ConfigurationError

_REQUIRED = names_of(Backend)
_STREAMING = names_of(StreamedWrites)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PROTOCOLS = (Backend, RangedReads, StreamedWrites, Extras, CompleteBackend)
_DEFAULTS = [vars(CompleteBackend)[name] for name in names_of(Extras) if name in vars(CompleteBackend)]
"""The extras that `CompleteBackend` implements itself; any other method of a protocol is only a declaration.
"""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Which of the optional operations a backend has."""

    ranged_reads: bool = False
    streamed_writes: bool = False
    extras: frozenset[str] = frozenset()
    """The names of the methods of `Extras` that it has."""
    first_chunk_bytes: bool = False
    begin_is_free: bool = False

    def has(self, extra: Callable[..., object]) -> bool:
        """Whether the backend has a method of `Extras`, such as `Extras.copy`."""
        return extra.__name__ in self.extras


def examine(backend: object) -> Capabilities:
    """Return what a backend can do.

    Raises ConfigurationError: if methods are missing or do not fit the contract; the error lists all
    problems.
    """
    has = {name: _has(backend, name) for name in OPERATIONS}
    problems = list(_problems(backend, has))
    if problems:
        named = backend_name(backend)
        raise ConfigurationError([f"backend {named}: {problem}" for problem in problems])
    return Capabilities(
        ranged_reads=has["read_file_range"],
        streamed_writes=has["begin_write"],
        extras=frozenset(name for name in names_of(Extras) if has[name]),
        first_chunk_bytes=_has(backend, "first_chunk_bytes"),
        begin_is_free=has["begin_write"] and bool(getattr(backend, "begin_is_free", False)),
    )


def backend_name(backend: object) -> str:
    """The backend's `name`, or else the name of its class."""
    name = getattr(backend, "name", None)
    if isinstance(name, str) and name:
        return name
    return backend.__name__ if isinstance(backend, type) else type(backend).__name__


def is_complete(backend: object) -> bool:
    """Whether its class derives from `CompleteBackend`, and so promises to raise only StorageErrors."""
    return CompleteBackend in type(backend).__mro__


def _problems(backend: object, has: dict[str, bool]) -> Iterator[str]:
    if isinstance(backend, type):
        yield "is a class; make an object of it"
        return
    missing = [name for name in _REQUIRED if not has[name]]
    missing += [name for name in LIFE_CYCLE if getattr(backend, name, None) is None]
    if is_complete(backend):
        missing += [name for name in has if not has[name] and name not in missing]
    if missing:
        yield f"it has no {_listed(missing)}, which every backend has"
    yield from _streaming_problems([name for name in _STREAMING if has[name]])
    if has["keep_range"] and not any(has[name] for name in _STREAMING):
        yield "it has keep_range, but none of the callbacks that stream writes: nothing would call it"
    for operation in (*LIFE_CYCLE.values(), *(OPERATIONS[name] for name in has if has[name])):
        if operation.name not in missing:
            yield from _problems_of(operation, getattr(backend, operation.name))
    yield from _chunk_size_problems(backend)


def _streaming_problems(there: list[str]) -> Iterator[str]:
    lacking = [name for name in _STREAMING if name not in there]
    if there and lacking:
        yield (
            f"it has {_listed(there)}, but no {_listed(lacking)}:"
            " a backend streams writes with all four or with none"
        )


def _chunk_size_problems(backend: object) -> Iterator[str]:
    if _has(backend, "first_chunk_bytes"):
        size = getattr(backend, "first_chunk_bytes", None)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            yield f"first_chunk_bytes is {size!r}, and should be a number of bytes"


def _problems_of(operation: Operation, found: Any) -> Iterator[str]:
    if not callable(found):
        yield f"{operation.name} is {type(found).__name__}, and should be a method"
        return
    wrong = _color_problem(found, yields=operation.streams)
    if wrong is not None:
        yield f"{operation.name} {wrong}"
    misfit = _signature_problem(found, operation)
    if misfit is not None:
        yield f"{operation.name}{misfit}"


def _color_problem(found: Any, *, yields: bool) -> str | None:
    """The problem with how a method waits (coroutine, async generator or neither); None if there is none."""
    inner = inspect.unwrap(found)
    is_plain_generator = inspect.isgeneratorfunction(inner)
    if not yields:
        if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(found):
            return None
        if is_plain_generator or inspect.isasyncgenfunction(inner):
            return "yields, and should be an `async def` that returns"
        return "is not async: it should be an `async def`"
    if inspect.iscoroutinefunction(inner):
        return "yields nothing: it should be an async generator, an `async def` with `yield` in it"
    if is_plain_generator:
        return "is not async: it should be an async generator, an `async def` with `yield` in it"
    return None  # also a plain function that returns another's iterator


def _signature_problem(found: Any, operation: Operation) -> str | None:
    """The problem with a method's parameters; None if the arguments of the core fit them, by name."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return None  # not written in Python: it has no signature
    positional, keywords = operation.positional, operation.keywords
    wanted = ", ".join([*positional, *(["*", *keywords] if keywords else [])])
    try:
        signature.bind(*[None] * len(positional), **dict.fromkeys(keywords))
    except TypeError as error:
        return f"{signature} should take ({wanted}): {error}"
    names = [p.name for p in signature.parameters.values() if p.kind in _BY_POSITION]
    if any(name in positional and positional.index(name) != at for at, name in enumerate(names)):
        return f"{signature} should take ({wanted}), in this order"
    return None


def _has(backend: object, name: str) -> bool:
    """Whether the backend has its own implementation of a method, not only a protocol's declaration."""
    found = inspect.getattr_static(backend, name, None)
    if found is None:
        return getattr(backend, name, None) is not None  # possibly from `__getattr__`
    return found in _DEFAULTS or not any(vars(protocol).get(name) is found for protocol in _PROTOCOLS)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
