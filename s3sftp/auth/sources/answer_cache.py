"""Remembers accepted answers of the hook for a limited time. Pure: no clock.

Entries are found by an HMAC of user, address and password under a key that exists only in this process, so
that memory holds no password, and no hash that could be tested without the key. Refusals are not remembered.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import OrderedDict

from s3sftp.auth.accounts import Account
from s3sftp.auth.hook.requests import Question

_MAX_ENTRIES = 10_000


class AnswerCache:
    """Accounts by question. `now` is any monotonic clock, in seconds."""

    def __init__(self, max_age: float) -> None:
        """`max_age` is in seconds; 0: nothing is remembered."""
        self._max_age = max_age
        self._key = secrets.token_bytes(32)
        self._accounts: OrderedDict[bytes, tuple[float, Account]] = OrderedDict()

    def get(self, question: Question, now: float) -> Account | None:
        """The account that was accepted for this question, unless that is too long ago."""
        if not self._accounts:
            return None
        name = self._name(question)
        found = self._accounts.get(name)
        if found is None:
            return None
        since, account = found
        if now - since < self._max_age:
            return account
        del self._accounts[name]
        return None

    def put(self, question: Question, account: Account, now: float) -> None:
        """Remember an answer that came at `now`."""
        if not self._max_age:
            return
        name = self._name(question)
        self._accounts[name] = now, account
        self._accounts.move_to_end(name)
        while len(self._accounts) > _MAX_ENTRIES:
            self._accounts.popitem(last=False)

    def _name(self, question: Question) -> bytes:
        text = json.dumps([question.user, question.address, question.password])
        return hmac.new(self._key, text.encode("ascii"), hashlib.sha256).digest()
