"""Remembers accepted answers of a source of users for a limited time. Pure: no clock.

Entries are found by an HMAC of the question, which may contain a password, under a key that exists only in
this process, so that memory holds no password, and no hash that could be tested without the key. Refusals
are not remembered.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")
Question = tuple[str, ...]
"""What was asked: the texts that an answer depends on."""

_MAX_ENTRIES = 10_000


class AnswerCache(Generic[T]):
    """Accepted answers by question. `now` is any monotonic clock, in seconds."""

    def __init__(self, max_age: float) -> None:
        """`max_age` is in seconds; 0: nothing is remembered."""
        self._max_age = max_age
        self._key = secrets.token_bytes(32)
        self._answers: OrderedDict[bytes, tuple[float, T]] = OrderedDict()

    def get(self, question: Question, now: float) -> T | None:
        """The answer that was accepted for this question, unless that is too long ago."""
        if not self._answers:
            return None
        name = self._name(question)
        found = self._answers.get(name)
        if found is None:
            return None
        since, answer = found
        if now - since < self._max_age:
            return answer
        del self._answers[name]
        return None

    def put(self, question: Question, answer: T, now: float) -> None:
        """Remember an answer that came at `now`."""
        if not self._max_age:
            return
        name = self._name(question)
        self._answers[name] = now, answer
        self._answers.move_to_end(name)
        while len(self._answers) > _MAX_ENTRIES:
            self._answers.popitem(last=False)

    def _name(self, question: Question) -> bytes:
        text = json.dumps(question)
        return hmac.new(self._key, text.encode("ascii"), hashlib.sha256).digest()
