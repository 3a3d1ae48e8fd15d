"""The table of the contract's operations, read from the signatures in `contract`.

    name              positional                              keywords    answer            streams
    file_info         place, session                                      FileInfo
    list_dir          place, session                                      Sequence[Entry]   yes
    rename            source, target, session                 overwrite   None
    read_file_range   place, start, stop, version, session                Buffer            yes
    …

Code that treats all operations alike uses this table instead of a method for each of them:

    capabilities         which methods a backend has, and whether their signatures fit
    complete.guard       calls a method of any backend, and validates the answer by its type
    service.callbacks    which operations a service may offer
    service.stub         turns the call of a method into a message
    service.dispatcher   turns a message into the call of a method
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from s3sftp.backends.contract import Backend, Extras, RangedReads, StreamedWrites


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of the contract."""

    name: str
    protocol: type
    """The protocol that declares it, which also says whether it is optional: `Backend`, `RangedReads`,
    `StreamedWrites` or `Extras`."""
    method: Callable[..., Any]
    """The declaration, with the promise as its docstring."""
    positional: tuple[str, ...]
    """The parameters that are passed by position, without `self`."""
    keywords: tuple[str, ...]
    """The parameters that are passed by name."""
    answer: Any
    """The type of its return value or, if it streams, of each item."""
    streams: bool
    """Whether it is an async generator."""


def _operation(protocol: type, method: Callable[..., Any]) -> Operation:
    parameters = list(inspect.signature(method).parameters.values())[1:]
    answer = get_type_hints(method)["return"]
    streams = get_origin(answer) is AsyncIterator
    return Operation(
        name=method.__name__,
        protocol=protocol,
        method=method,
        positional=tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD),
        keywords=tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY),
        answer=get_args(answer)[0] if streams else answer,
        streams=streams,
    )


LIFE_CYCLE = {method.__name__: _operation(Backend, method) for method in (Backend.start, Backend.stop)}
"""The two methods that no user's request calls."""

OPERATIONS = {
    name: _operation(protocol, method)
    for protocol in (Backend, RangedReads, StreamedWrites, Extras)
    for name, method in vars(protocol).items()
    if inspect.isfunction(method) and not name.startswith("_") and name not in LIFE_CYCLE
}
"""Every other method of the contract by its name, in the order of the contract."""


def names_of(protocol: type) -> tuple[str, ...]:
    """The operations that a protocol declares."""
    return tuple(each.name for each in OPERATIONS.values() if each.protocol is protocol)
