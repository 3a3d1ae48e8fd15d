"""A dry run leaves no trace in what the server says of real transfers, and keeps no process from its work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from s3sftp.app import serving_answers
from s3sftp.app.operation_trial import USAGES, OperationTrial, parse_operation
from s3sftp.app.options import ServerOptions
from s3sftp.app.serving_answers import MOST_TRIALS, LoginTrials, ServingAnswers
from s3sftp.auth import Account, Identity, StaticUsers
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions
from s3sftp.telemetry.audit import FROM_THE_LOG, MADE_FOR_IT, OF_FILES
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.failed_logins import FailedLogins

REFUSED = ["put /f/below", "get /missing", "append / 5"]


def example_of(usage: str) -> str:
    """An operation that is allowed."""
    path = {"mkdir": "/new", "ls": "/", "rmdir": "/empty"}.get(usage.split()[0], "/f")
    return usage.replace("PATH", path).replace("NEW", "/g").replace("[SIZE]", "3").replace("SIZE", "3")


@pytest.mark.parametrize("text", [*map(example_of, USAGES), *REFUSED])
async def test_a_dry_run_of_any_operation_is_no_transfer_of_the_log_and_the_audit_log(text: str) -> None:
    heard: list[str] = []

    def hear(event: str, _fields: Mapping[str, Any]) -> None:
        heard.append(event)

    storage = MemoryBackend({"acme/f": b"x", "acme/empty/": b""})
    trial = OperationTrial(storage, FileOptions(), Identity("acme", "acme/"), "192.0.2.1")
    unlisten = tap.listen(OF_FILES | FROM_THE_LOG | MADE_FOR_IT, hear)
    try:
        tried = await trial.run(parse_operation(text))
    finally:
        unlisten()
    assert (tried.state == "refused") == (text in REFUSED), tried
    assert heard == []


class Trials:
    """A process whose trials take until they may end."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.answers = ServingAnswers(cast("Any", None), FailedLogins(), 0)
        self.answers.dry_run = self._run

    async def _run(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        await self.may_end.wait()
        return {"accepted": True}

    async def ask(self) -> Any:
        return json.loads(await self.answers.answer(b'{"ask": "dry_run"}'))


async def test_a_process_does_a_few_dry_runs_at_once_and_says_so_to_others() -> None:
    trials = Trials()
    slow = [asyncio.create_task(trials.ask()) for _ in range(MOST_TRIALS)]
    await asyncio.sleep(0)  # they have begun
    assert "are under way" in (await trials.ask())["unavailable"]
    trials.may_end.set()
    assert await asyncio.gather(*slow) == [{"accepted": True}] * MOST_TRIALS
    assert await trials.ask() == {"accepted": True}


async def test_a_dry_run_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_answers, "TRIAL_SECONDS", 0.01)
    trials = Trials()
    for _ in range(MOST_TRIALS + 1):  # none of them counts any more
        assert "took more than" in (await trials.ask())["unavailable"]
        await asyncio.sleep(0)


def login_trials(identity: Identity, **auth: Any) -> LoginTrials:
    options = ServerOptions.model_validate({"backend": "memory", "auth": auth})
    accounts = {identity.user: Account(identity, None, ())}
    return LoginTrials(options, StaticUsers({}), lambda: accounts, lambda: None)


ASKED: dict[str, Any] = {"user": "acme", "from": "192.0.2.1", "try": [], "ban": {"state": "none"}}


async def test_a_dry_run_is_refused_where_nobody_may_log_in_from() -> None:
    trials = login_trials(Identity("acme", "acme/"), networks="10.0.0.0/8")
    said = await trials.run(ASKED)
    assert (said["accepted"], "auth.networks" in said["reason"]) == (False, True)
    assert (await trials.run({**ASKED, "from": "10.1.1.1"}))["accepted"]


async def test_what_a_dry_run_says_is_printable() -> None:
    said = await login_trials(Identity("acme", "acme/")).run({**ASKED, "user": "a\udcff"})
    assert said["user"] == "a\\xff"


def test_failed_logins_are_read_while_others_are_noted() -> None:
    logins = FailedLogins()
    logins.note("login.failed", {"user": "a"})
    logins.note("login.failed", {"user": "b"})
    latest = logins.latest()
    next(latest)
    logins.note("login.failed", {"user": "c"})
    assert [each.user for each in latest] == ["a"]
