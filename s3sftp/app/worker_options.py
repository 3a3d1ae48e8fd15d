"""Computes each worker's share of the server's limits, and transfers the options to it.

Options travel as JSON in an in-memory file that the workers inherit. They contain secrets, so they appear in
no command line, no environment and no file on disk; a replaced worker gets what the first one got.
"""

from __future__ import annotations

import json
import os
from datetime import date, time, timedelta
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from s3sftp.app.account_files import memory_file
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Accounts, account_from_line, account_to_line
from s3sftp.backends.registry import BUILT_IN
from s3sftp.config import DIVIDED, Options
from s3sftp.workers import default_workers


def worker_count(options: ServerOptions) -> int:
    """How many processes serve connections."""
    built_in = BUILT_IN.get(options.backend)
    if built_in is None:  # only the operator knows whether such a storage's state may exist once per worker
        return options.server.workers or 1
    if built_in.in_one_process:
        return 1
    return options.server.workers or default_workers(options.files.buffer_bytes)


def worker_share(options: ServerOptions, workers: int) -> ServerOptions:
    """The options of each worker: its share of those that are `DIVIDED`, and the others unchanged."""
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
    """What a worker is given: the options without their users, and the users in the form that logins need."""
    options = options.model_copy(update={"users": {}, "groups": {}})
    return b"".join([dump(options), b"\n", *(account_to_line(*each) for each in accounts.items())])


def to_file(data: bytes) -> int:
    """An in-memory file with this data, for a worker; the caller closes it."""
    return memory_file("s3sftp-options", [data])


def read_file(descriptor: int) -> bytes:
    """The content of a file from `to_file`. Does not move the file's position, which other readers share."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def unpack(data: bytes) -> tuple[ServerOptions, Accounts]:
    """The options and the accounts that were packed."""
    first, *lines = data.splitlines()
    return load(first), dict(map(account_from_line, lines))


def dump(options: ServerOptions) -> bytes:
    """The options as JSON, secrets included."""
    return json.dumps(options.model_dump(), default=_plain).encode("ascii")


def load(data: bytes) -> ServerOptions:
    """The dumped options, exactly."""
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
