"""How users reach the workers: each as one line of JSON, in a file in memory.

A worker reads no file of users or keys itself: it has those that the supervisor has found good, also when it
is started later. What changes afterwards is handed to it as the difference to those that it was started with,
which is the same for workers of any age. One line at a time is read: to read all of them at once would hold
up every other thread of the process.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime
from types import MappingProxyType
from typing import Any

from s3sftp.auth import Account, Accounts, AllowedSources, AuthorizedKey, Identity


def account_to_line(name: str, account: Account) -> bytes:
    """One user, credentials included."""
    identity = account.identity
    fields = (
        name,
        identity.user,
        identity.prefix,
        identity.read_only,
        identity.directories,
        dict(identity.attributes),
        account.password_hash,
        [_fields_of(key) for key in account.keys],
    )
    return json.dumps(fields).encode("ascii") + b"\n"


def account_from_line(line: bytes) -> tuple[str, Account]:
    """The user of a line."""
    name, user, prefix, read_only, directories, attributes, password_hash, keys = json.loads(line)
    identity = Identity(user, prefix, read_only, tuple(directories), MappingProxyType(attributes))
    return name, Account(identity, password_hash, tuple(_key_of(fields) for fields in keys))


def _fields_of(key: AuthorizedKey) -> list[Any]:
    return [
        b64encode(key.public_data).decode("ascii"),
        [sources.patterns for sources in key.sources],
        key.expires.isoformat() if key.expires else None,
    ]


def _key_of(fields: list[Any]) -> AuthorizedKey:
    data, sources, expires = fields
    return AuthorizedKey(
        b64decode(data),
        tuple(map(AllowedSources, sources)),
        datetime.fromisoformat(expires) if expires else None,
    )


def write_account_changes(first: Accounts, now: Accounts) -> int:
    """What makes `now` of the accounts that a worker was started with, as a file in memory; the caller closes
    it."""

    def lines() -> Iterator[bytes]:
        yield json.dumps([name for name in first if name not in now]).encode("ascii") + b"\n"
        for name, account in now.items():
            if first.get(name) != account:
                yield account_to_line(name, account)

    return memory_file("s3sftp-users", lines())


def read_account_changes(descriptor: int, first: Accounts) -> Accounts:
    """The accounts as they are now. Closes the file."""
    try:  # not moved, as other workers read the same file
        removed, *changed = os.pread(descriptor, os.fstat(descriptor).st_size, 0).splitlines()
    finally:
        os.close(descriptor)
    accounts = dict(first)
    for name in json.loads(removed):
        del accounts[name]
    accounts.update(map(account_from_line, changed))
    return accounts


def memory_file(name: str, lines: Iterable[bytes]) -> int:
    """A file in memory; the caller closes it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.writelines(lines)
    return descriptor
