"""What each worker gets of what is promised for the server, and how it gets its options.

Options travel as JSON in a file in memory that the workers inherit: they hold secrets, so they are in no
command line, no environment and no file on disk, and a worker that is replaced gets what the first one got.
"""

from __future__ import annotations

import json
import os
from datetime import date, time, timedelta
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from s3sftp.app.account_files import account_from_line, account_to_line, memory_file
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Accounts
from s3sftp.backends.registry import BUILT_IN
from s3sftp.config import DIVIDED, Options
from s3sftp.workers import default_workers


def worker_count(options: ServerOptions) -> int:
    """How many processes are to serve."""
    built_in = BUILT_IN.get(options.backend)
    if built_in is None:  # whether what it has in memory may be there twice only its operator knows
        return options.server.workers or 1
    if built_in.in_one_process:
        return 1
    return options.server.workers or default_workers(options.files.buffer_bytes)


def worker_share(options: ServerOptions, workers: int) -> ServerOptions:
    """The options of each worker: its share of those that are `DIVIDED`, and the others as they are."""
    groups = {name: group for name, group in options if isinstance(group, Options)}
    shares = {name: _share_of(group, workers) for name, group in groups.items()}
    return options.model_copy(update={name: share for name, share in shares.items() if share != groups[name]})


def _share_of(group: Options, workers: int) -> Options:
    shares = {
        name: max(_least(field), getattr(group, name) // workers)
        for name, field in type(group).model_fields.items()
        if DIVIDED in field.metadata
    }
    return group.model_copy(update=shares)


def _least(field: FieldInfo) -> int:
    return max((bound.ge for bound in field.metadata if hasattr(bound, "ge")), default=0)


def pack(options: ServerOptions, accounts: Accounts) -> bytes:
    """What is handed to a worker: the options without their users, and the users as logins need them."""
    options = options.model_copy(update={"users": {}})
    return b"".join([dump(options), b"\n", *(account_to_line(*each) for each in accounts.items())])


def to_file(data: bytes) -> int:
    """A file in memory for a worker to be handed; the caller closes it."""
    return memory_file("s3sftp-options", [data])


def read_file(descriptor: int) -> bytes:
    """What is in a file of `to_file`. Does not move it, as others read it too."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def unpack(data: bytes) -> tuple[ServerOptions, Accounts]:
    """The options and the users that were handed over."""
    first, *lines = data.splitlines()
    return load(first), dict(map(account_from_line, lines))


def dump(options: ServerOptions) -> bytes:
    """The options, secrets included."""
    return json.dumps(options.model_dump(), default=_plain).encode("ascii")


def load(data: bytes) -> ServerOptions:
    """The options that were dumped, exactly."""
    return ServerOptions.model_validate(json.loads(data))


def _plain(value: object) -> object:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case date() | time():
            return value.isoformat()
    raise TypeError(type(value).__name__)
