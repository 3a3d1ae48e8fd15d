"""What supervisor and worker say to each other: each message is one packet, a JSON list `[name, value, …]`.

    to the worker       Serve (with the socket)   Counted   Judged   Expel   Stop
                        Ask   Look   Users (with a file)
    to the supervisor   Ready   Greeted   LogIn   Failed   Left   Here   Looked   UsersLost

A guest is a number that the supervisor gives to each connection.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields
from typing import get_args

MAX_BYTES = 8192


class BadIpcMessage(Exception):
    """The other side does not speak as it should."""


@dataclass(frozen=True, slots=True)
class ServeConnection:
    """The connection that comes with this is yours. Who the client is, its socket may not know: the rest is
    `ssh.Peer`."""

    guest: int
    address: str
    port: int
    proxy: str
    is_proxys_own: bool


@dataclass(frozen=True, slots=True)
class LoginAnswer:
    """The answer to LogIn: the reason for which the connection has to go, or none."""

    guest: int
    refusal: str


@dataclass(frozen=True, slots=True)
class FailureAnswer:
    """The answer to Failed: whether it brought a ban."""

    guest: int
    banned: bool


@dataclass(frozen=True, slots=True)
class DisconnectClient:
    """Close the connection at once."""

    guest: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopWorker:
    """The first: finish what runs. The second: cut it short."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? For the event loop to answer: that it turns is what is asked."""


@dataclass(frozen=True, slots=True)
class UsersChanged:
    """The file that comes with this says how users have changed since you were started."""


@dataclass(frozen=True, slots=True)
class UsersLost:
    """Users came without their file: send them again."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """Connections may come."""


@dataclass(frozen=True, slots=True)
class VersionReceived:
    """The client has sent its version."""

    guest: int


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The connection has proved to be this user's: may it stay?"""

    guest: int
    user: str


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """A login failed."""

    guest: int


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The connection is gone."""

    guest: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to Ask."""


@dataclass(frozen=True, slots=True)
class ProbeStorage:
    """Does the storage answer?"""


@dataclass(frozen=True, slots=True)
class StorageProbed:
    """The answer to Look: what the storage said, if that was no."""

    trouble: str


IpcMessage = (
    ServeConnection
    | LoginAnswer
    | FailureAnswer
    | DisconnectClient
    | StopWorker
    | Ping
    | ProbeStorage
    | UsersChanged
    | UsersLost
    | WorkerReady
    | VersionReceived
    | LoggedIn
    | LoginFailed
    | ConnectionClosed
    | Pong
    | StorageProbed
)
_KINDS: dict[str, type[IpcMessage]] = {kind.__name__: kind for kind in get_args(IpcMessage)}
_TYPES = {"int": int, "str": str, "bool": bool}


def encode(message: IpcMessage) -> bytes:
    """The packet."""
    return json.dumps([type(message).__name__, *astuple(message)]).encode("ascii")


def decode(packet: bytes) -> IpcMessage:
    """The message. Raises BadMessage."""
    try:
        name, *values = json.loads(packet)
        kind = _KINDS[name]
        wanted = [_TYPES[str(field.type)] for field in fields(kind)]
    except (ValueError, TypeError, LookupError) as error:
        raise BadIpcMessage(repr(packet[:100])) from error
    if [type(value) for value in values] != wanted:
        raise BadIpcMessage(repr(packet[:100]))
    return kind(*values)
