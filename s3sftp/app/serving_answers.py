"""What one serving process answers to the admin API: the only process itself, or a worker to its supervisor.

Questions and answers are JSON: `{"ask": "sessions", "limit": 100}`. Each process answers for what it serves,
and `app/admin_api.py` puts the answers together.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from s3sftp.app.login_report import KnownBan, LoginReport
from s3sftp.app.login_trial import Credentials, LoginTrial, TriedLogin
from s3sftp.app.operation_trial import UNAVAILABLE, OperationTrial, TriedOperation, parse_operation
from s3sftp.app.options import Configuration, ServerOptions
from s3sftp.auth import Accounts, AllowedSources, Authenticator, AuthGateway, Identity, Logins
from s3sftp.auth.auth_gateway import NOT_FROM_HERE
from s3sftp.auth.presented_keys import key_presented
from s3sftp.backends import CompleteBackend
from s3sftp.fs.transfer_book import TransferSummary
from s3sftp.server import Server
from s3sftp.ssh import OpenedSession
from s3sftp.telemetry.failed_logins import FailedLogins
from s3sftp.telemetry.log_setup import change_log_level, log_level
from s3sftp.telemetry.logs import printable

BY_OPERATOR = "disconnected by an operator"
MOST_TRIALS = 2
"""Dry runs of a process that may be under way."""
TRIAL_SECONDS = 10.0
"""Maximum duration of a dry run."""


class ServingAnswers:
    """Answers questions about one process that serves."""

    def __init__(self, server: Server, failed_logins: FailedLogins, worker: int) -> None:
        """`worker`: the number of the process; 0 if it is the only one."""
        self._server = server
        self._failed_logins = failed_logins
        self._worker = worker
        self.dry_run: Callable[[Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]] | None = None
        """Tries a login; set once there are sources of users."""
        self._trials: set[asyncio.Task[dict[str, Any]]] = set()

    async def answer(self, question: bytes) -> bytes:
        """Answer a question.

        Raises ValueError: if it is none.
        """
        asked = json.loads(question)
        if asked["ask"] == "dry_run" and self.dry_run is not None:
            return json.dumps(await self._tried(self.dry_run(asked)), default=str).encode("ascii")
        return json.dumps(self._of(asked)).encode("ascii")

    async def _tried(self, trial: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        """The result of a trial, or why there is none: a process that waits for a slow storage in many trials
        would be asked nothing else any more."""
        if len(self._trials) >= MOST_TRIALS:
            trial.close()
            return {UNAVAILABLE: f"{MOST_TRIALS} dry runs are under way: try again when they have ended"}
        task = asyncio.create_task(trial)
        self._trials.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=TRIAL_SECONDS)
        finally:
            is_done = task.done()
            task.cancel()
        return task.result() if is_done else {UNAVAILABLE: f"the dry run took more than {TRIAL_SECONDS:g} s"}

    def _ended(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._trials.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may wait for it any more

    def _of(self, asked: Mapping[str, Any]) -> Any:
        match asked["ask"]:
            case "sessions":
                return self._sessions(asked)
            case "disconnect":
                return self._server.disconnect(asked["id"], BY_OPERATOR)
            case "transfers":
                return self._transfers(asked)
            case "failed_logins":
                return [asdict(each) for each in islice(self._failed_logins.latest(), asked["limit"])]
            case "costs":
                book = self._server.book
                return {"day": book.day, "users": [asdict(each) for each in book.days()]}
            case "log_level":
                if asked.get("level"):
                    change_log_level(asked["level"])
                return log_level()
        raise ValueError(f"no such question: {asked['ask']!r}")

    def _sessions(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The sessions after a given id, in the order of ids."""
        user, only, after = asked.get("user"), asked.get("id"), asked.get("after") or ""
        found = [
            each
            for each in self._server.open_sessions()
            if (only is None or each.session.session_id == only)
            and (user is None or each.session.user == user)
            and each.session.session_id > after
        ]
        found.sort(key=lambda each: each.session.session_id)
        found = found[: asked["limit"]]
        traffic = self._server.book.traffic([each.session.session_id for each in found])
        shown = []
        for each in found:
            moved = traffic.get(each.session.session_id)
            shown.append(
                {
                    **self._session(each),
                    "bytes_in": moved.bytes_in if moved else 0,
                    "bytes_out": moved.bytes_out if moved else 0,
                }
            )
        return shown

    def _session(self, opened: OpenedSession) -> dict[str, Any]:
        session, activity = opened.session, opened.activity
        return {
            "id": session.session_id,
            "user": printable(session.user),
            "peer": session.peer,
            "client": printable(session.client_version),
            "method": opened.method,
            "started_at": activity.started_at,
            "idle_seconds": round(max(0.0, activity.idle_seconds), 3),
            "worker": self._worker,
            "handles": activity.handles,
            "operations": activity.operations,
            "trace_id": activity.trace_id,
        }

    def _transfers(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        book = self._server.book
        user, result = asked.get("user"), asked.get("result")
        found = (
            each
            for each in (book.recent() if asked["state"] == "recent" else book.live())
            if (user is None or each.user == user) and (result is None or each.state == result)
        )
        return [_transfer(each) for each in islice(found, asked["limit"])]


def _transfer(transfer: TransferSummary) -> dict[str, Any]:
    rate = transfer.bytes / max(transfer.seconds, 1e-3)
    shown = asdict(transfer)
    shown["user"] = printable(transfer.user)
    return {**shown, "seconds": round(transfer.seconds, 3), "bytes_per_second": round(rate, 1)}


class LoginTrials:
    """Tries logins and operations in a process that serves, with its own sources and storage."""

    def __init__(
        self,
        options: ServerOptions,
        sources: Authenticator,
        accounts: Callable[[], Accounts],
        storage: Callable[[], CompleteBackend | None],
    ) -> None:
        self._options = options
        self._sources = sources
        self._accounts = accounts
        self._storage = storage
        # nobody measures how long the API takes
        quick = options.auth.model_copy(update={"refusal_time": timedelta(0)})
        self._gateway = AuthGateway(sources, quick)

    async def run(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Try what the question asks for. The caller has checked `key` and `try`."""
        user, address = asked["user"], asked["from"]
        login, reason = await self._login(asked, user, address)
        tried: list[TriedOperation] = []
        if login.identity is not None:
            tried = await self._operations(login.identity, address, asked["try"])
        report = LoginReport(
            Configuration(self._options, Logins(self._accounts())),
            login,
            address,
            datetime.now(UTC),
            tried,
            KnownBan(**asked["ban"]),
        )
        found = {**report.as_object(), "all_allowed": report.is_all_right, "reason": reason}
        return {name: _escaped(value) for name, value in found.items()}

    async def _login(
        self, asked: Mapping[str, Any], user: str, address: str
    ) -> tuple[TriedLogin, str | None]:
        if asked.get("key"):
            key = key_presented(asked["key"].encode(), "key")
            trial = LoginTrial(self._gateway, self._sources, self._options.ssh.offer, lambda: ())
            return await trial.run(Credentials(user, address, [key])), None
        account = self._accounts().get(user)
        identity = account.identity if account else None
        reason = _refusal(identity, address, asked.get("methods"), self._options.auth.networks)
        source = "the configuration" if identity is not None else None
        accepted = identity if reason is None else None
        return TriedLogin(user, source, (), (), (), accepted), reason

    async def _operations(
        self, identity: Identity, address: str, wanted: Sequence[str]
    ) -> list[TriedOperation]:
        storage = self._storage()
        if storage is None:
            return [TriedOperation(parse_operation(each), "unknown", "the server starts") for each in wanted]
        trial = OperationTrial(storage, self._options.files, identity, address)
        return [await trial.run(parse_operation(each)) for each in wanted]


def _escaped(value: Any) -> Any:
    """The value with its texts printable: names and prefixes may have bytes that no JSON can have."""
    match value:
        case str():
            return printable(value)
        case dict():
            return {name: _escaped(each) for name, each in value.items()}
        case list() | tuple():
            return [_escaped(each) for each in value]
    return value


def _refusal(
    identity: Identity | None,
    address: str,
    methods: Sequence[str] | None,
    networks: AllowedSources | None,
) -> str | None:
    """Why a login would be refused whose credentials are taken for granted."""
    if identity is None:
        return "the configuration has no such user; with a key, other sources are asked"
    if methods is not None and not identity.login_methods.suffice(tuple(methods)):  # type: ignore[arg-type]
        return f"{'+'.join(methods) or 'nothing'} is not enough: {identity.login_methods.text}"
    rules = identity.login_rules
    now = datetime.now(UTC)
    if address and networks is not None and not networks.allow(address):
        return NOT_FROM_HERE
    if not address:  # whether the address may is unknown
        return rules.end(now)
    with suppress(ValueError):
        return rules.refusal(address, now)
    return None
