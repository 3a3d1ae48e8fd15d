"""Transfers accounts from the supervisor to its workers, as lines of JSON in an in-memory file.

A worker reads no user or key file itself: it gets the accounts that the supervisor has validated, even if it
is started later. Later changes are sent as the difference from the accounts at start, which is the same for
workers of any age. Lines are read one at a time: parsing them all at once would block every other thread of
the process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator

from s3sftp.auth import Accounts, account_from_line, account_to_line


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
