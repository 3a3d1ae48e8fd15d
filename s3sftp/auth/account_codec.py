"""Writes accounts as lines of JSON, and reads them again: the form in which workers get them.

The form follows from the types of the fields, so a new field of an account needs nothing here. The lines
contain credentials; only the processes of one server exchange them, and no error quotes them.
"""

from __future__ import annotations

from functools import cache

from pydantic import ConfigDict, TypeAdapter

from s3sftp.auth.accounts import Account


@cache
def _adapter() -> TypeAdapter[tuple[str, Account]]:
    return TypeAdapter(tuple[str, Account], config=ConfigDict(hide_input_in_errors=True))


def account_to_line(name: str, account: Account) -> bytes:
    """One account as a line, credentials included."""
    return _adapter().dump_json((name, account)) + b"\n"


def account_from_line(line: bytes) -> tuple[str, Account]:
    """The account in a line, with its user name.

    Raises ValueError: if the line is not complete and valid. Its text contains nothing of the line.
    """
    return _adapter().validate_json(line)
