"""Transfers accounts from the supervisor to its workers, as lines of JSON in an in-memory file.

A worker reads no user or key file itself: it gets the accounts that the supervisor has validated, even if it
is started later. Later changes are sent as the difference from the accounts at start, which is the same for
workers of any age. Lines are read one at a time: parsing them all at once would block every other thread of
the process.
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
    """One account as a line, credentials included."""
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
    """The account in a line, with its user name."""
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
    """The differences from `first`, the accounts that a worker was started with, to `now`, as an in-memory
    file. The caller closes it."""

    def lines() -> Iterator[bytes]:
        yield json.dumps([name for name in first if name not in now]).encode("ascii") + b"\n"
        for name, account in now.items():
            if first.get(name) != account:
                yield account_to_line(name, account)

    return memory_file("s3sftp-users", lines())


def read_account_changes(descriptor: int, first: Accounts) -> Accounts:
    """The current accounts: `first` with the changes in the file. Closes the file."""
    try:  # reads at explicit offsets, because other workers share the file's position
        removed, *changed = os.pread(descriptor, os.fstat(descriptor).st_size, 0).splitlines()
    finally:
        os.close(descriptor)
    accounts = dict(first)
    for name in json.loads(removed):
        del accounts[name]
    accounts.update(map(account_from_line, changed))
    return accounts


def memory_file(name: str, lines: Iterable[bytes]) -> int:
    """An in-memory file of these lines; the caller closes it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.writelines(lines)
    return descriptor
