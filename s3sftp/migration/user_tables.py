"""Finishes the table of an imported user: only what the server itself would accept is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from s3sftp.auth.accounts import read_logins
from s3sftp.auth.authorized_keys import keys_in
from s3sftp.auth.user_options import UserOptions, user_name_problem
from s3sftp.config import read_table
from s3sftp.errors import ConfigurationError
from s3sftp.migration.findings import FindingKind, ImportedUser, UserFindings

_KEY_AT_START = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+[ \t]+AAAA")
_FREE_TEXT = frozenset({"authorized_keys", "password_hash"})


def usable_keys(keys: Iterable[str], field: str, findings: UserFindings) -> list[str]:
    """The public keys that mean the same here: one key a line, without options."""
    found = []
    for index, text in enumerate(keys):
        where, line = f"{field}[{index}]", text.strip()
        if not line:
            continue
        if not line.isprintable():
            findings.narrow(where, "should be a single line; the key is not carried over")
        elif not _KEY_AT_START.match(line):
            findings.narrow(where, "does not begin with the key's type: options would change what it means")
        elif (problems := keys_in(line).problems) or "{user}" in line:
            reason = problems[0].problem if problems else "its comment contains '{user}'"
            findings.narrow(where, f"the key cannot be used here: {reason}")
        elif line not in found:
            found.append(line)
    return found


def finished(name: str, table: dict[str, Any], findings: UserFindings) -> ImportedUser:
    """The user with this table. A table that the server would not accept is not written."""
    if (problem := user_name_problem(name)) is not None:
        findings.refuse("", f"the name {problem}")
    if findings.have(FindingKind.NOT_WRITTEN):
        return ImportedUser(name, None, tuple(findings))
    if not table.get("authorized_keys") and not table.get("password_hash") and not table.get("disabled"):
        findings.disable("", "has no credential that can be carried over")
    given = {option: value for option, value in table.items() if value is not None}
    written = {**({"disabled": True} if findings.have(FindingKind.DISABLED) else {}), **given}
    for problem in _problems(name, written):
        findings.refuse("", problem)
    if findings.have(FindingKind.NOT_WRITTEN):
        return ImportedUser(name, None, tuple(findings))
    return ImportedUser(name, written, tuple(findings))


def _problems(name: str, table: dict[str, Any]) -> list[str]:
    if braces := [text for text in _texts(table) if re.search(r"[{}]", text)]:
        return [f"{braces[0][:100]!r} has braces, which mean something else here"]
    problems: list[str] = []
    options = read_table(UserOptions, ("users", name), table, lambda _path: None, problems)
    if options is None:
        return problems
    try:
        identity = read_logins({name: options}).accounts[name].identity
    except ConfigurationError as error:  # a file of keys cannot be read
        return list(error.problems)
    return identity.problems()


def _texts(value: object, option: str = "") -> Iterable[str]:
    """Every text in a table, keys too, but for those in which nothing is replaced that matters."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            if key not in _FREE_TEXT:
                yield from _texts(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, option)
    elif isinstance(value, str):
        yield value
