"""The messages between supervisor and worker: each is one packet, a JSON list `[name, value, …]`.

    to the worker       ServeConnection (with the socket)   LoginAnswer   PasswordAnswer   OffenceAnswer
                        SessionAnswer   DisconnectClient   StopWorker   Ping   ProbeStorage
                        UsersChanged, AskWorker (with a file)
    to the supervisor   WorkerReady   VersionReceived   LoggedIn   TryPassword   Offended   OpenSession
                        SessionClosed   ConnectionClosed   Pong   StorageProbed   UsersLost
                        WorkerAnswered (with a file)

`connection_id` is the number that the supervisor gives to a connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import get_args

MAX_BYTES = 8192


class BadIpcMessage(Exception):
    """The other side has sent a packet that is not a valid message."""


@dataclass(frozen=True, slots=True)
class ServeConnection:
    """Serve the connection whose socket comes with this message. The remaining fields are those of
    `ssh.Peer`, which the socket alone may not know."""

    connection_id: int
    address: str
    port: int
    proxy: str
    is_proxys_own: bool


@dataclass(frozen=True, slots=True)
class LoginAnswer:
    """The answer to LoggedIn: why the connection must be closed, or None."""

    connection_id: int
    refusal: str


@dataclass(frozen=True, slots=True)
class PasswordAnswer:
    """The answer to TryPassword: whether the password may be tried."""

    connection_id: int
    allowed: bool


@dataclass(frozen=True, slots=True)
class OffenceAnswer:
    """The answer to Offended: whether the source is banned."""

    connection_id: int
    banned: bool


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """The answer to OpenSession: why there can be no session, or an empty text."""

    connection_id: int
    refusal: str


@dataclass(frozen=True, slots=True)
class DisconnectClient:
    """Close the connection at once."""

    connection_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopWorker:
    """Stop. The first: finish what runs. The second: abort it."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A heartbeat. The event loop answers it, which proves that the loop turns."""


@dataclass(frozen=True, slots=True)
class UsersChanged:
    """The file that comes with this message describes how users have changed since the worker was started."""


@dataclass(frozen=True, slots=True)
class UsersLost:
    """UsersChanged arrived without its file: send it again."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The worker accepts connections."""


@dataclass(frozen=True, slots=True)
class VersionReceived:
    """The client has sent its version."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The connection has authenticated as this user. Asks whether it may stay."""

    connection_id: int
    user: str
    name: str
    """The user name that the client has given."""


@dataclass(frozen=True, slots=True)
class TryPassword:
    """Asks whether a password or a code for this user name may be tried."""

    connection_id: int
    user: str
    has_proven: bool
    """After another factor of this user."""


@dataclass(frozen=True, slots=True)
class Offended:
    """The client has done something that counts towards a ban, such as a failed login."""

    connection_id: int
    offence: str
    """An `auth.Offence`."""
    user: str
    """The user name that it concerns; may be empty."""
    has_proven: bool
    """After another factor of this user."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """The connection opens a session. Asks whether it may, unless `most` is 0."""

    connection_id: int
    most: int
    """How many sessions the user may have; 0: there is no limit."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A session of the connection has closed."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The connection has closed."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to Ping."""


@dataclass(frozen=True, slots=True)
class ProbeStorage:
    """Asks the worker to probe its storage."""


@dataclass(frozen=True, slots=True)
class StorageProbed:
    """The answer to ProbeStorage: the storage's problem; empty if it answered well."""

    problem: str


@dataclass(frozen=True, slots=True)
class AskWorker:
    """Answer the question in the file that comes with this message."""

    number: int


@dataclass(frozen=True, slots=True)
class WorkerAnswered:
    """The answer to AskWorker, in the file that comes with it; without a file, there is none."""

    number: int


IpcMessage = (
    ServeConnection
    | LoginAnswer
    | PasswordAnswer
    | OffenceAnswer
    | SessionAnswer
    | DisconnectClient
    | StopWorker
    | Ping
    | ProbeStorage
    | UsersChanged
    | UsersLost
    | WorkerReady
    | VersionReceived
    | LoggedIn
    | TryPassword
    | Offended
    | OpenSession
    | SessionClosed
    | ConnectionClosed
    | Pong
    | StorageProbed
    | AskWorker
    | WorkerAnswered
)
_KINDS: dict[str, type[IpcMessage]] = {kind.__name__: kind for kind in get_args(IpcMessage)}
_TYPES = {"int": int, "str": str, "bool": bool}
_FIELDS = {
    kind: tuple((each.name, _TYPES[str(each.type)]) for each in fields(kind)) for kind in _KINDS.values()
}
"""The names and types of each kind's fields, looked up once: every login is seven messages."""


def encode(message: IpcMessage) -> bytes:
    """The packet for a message."""
    kind = type(message)
    return json.dumps([kind.__name__, *(getattr(message, name) for name, _ in _FIELDS[kind])]).encode("ascii")


def decode(packet: bytes) -> IpcMessage:
    """The message in a packet.

    Raises BadIpcMessage: if the packet is not a valid message.
    """
    try:
        name, *values = json.loads(packet)
        kind = _KINDS[name]
    except (ValueError, TypeError, LookupError) as error:
        raise BadIpcMessage(repr(packet[:100])) from error
    if [type(value) for value in values] != [wanted for _, wanted in _FIELDS[kind]]:
        raise BadIpcMessage(repr(packet[:100]))
    return kind(*values)
