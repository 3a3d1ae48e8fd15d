"""The calls of the admin API, for the whole server: what one process knows by itself, and the answers of all
processes put together.

    ApiCall ─► AdminApi ─┬─► health, metrics, bans, users, options      of this process
                         └─► Processes.ask ─► ServingAnswers of each    sessions, transfers, logins, costs
"""

from __future__ import annotations

import ipaddress
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ValidationError

from s3sftp import __version__
from s3sftp.admin import HealthReport, Phase
from s3sftp.admin import api_models as models
from s3sftp.admin.api_problems import ApiRefusal
from s3sftp.admin.api_routes import ApiCall
from s3sftp.app.operation_trial import UNAVAILABLE, parse_operation
from s3sftp.app.options import ServerOptions
from s3sftp.app.options_view import options_view
from s3sftp.app.process_questions import Answers, Processes
from s3sftp.app.server_status import dependencies, server_counters
from s3sftp.app.user_costs import costs_of_day
from s3sftp.app.user_views import user_detail, user_entry
from s3sftp.auth import Accounts, normalized_address, source_of
from s3sftp.auth.presented_keys import UnusableKeyFile, key_presented
from s3sftp.errors import InvalidRequest
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_setup import change_log_level, log_level
from s3sftp.telemetry.logs import printable
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.series import SeriesRecorder

_log = get_logger("s3sftp.admin")


@dataclass(slots=True)
class WholeServer:
    """What the API needs of the server. What is not there at first is set when it is."""

    options: ServerOptions
    workers: int
    processes: Processes
    accounts: Callable[[], Accounts]
    metrics: Metrics
    phase: Callable[[], Phase]
    stop: Callable[[], None]
    """Has the server stop as after a first SIGTERM."""
    ready: Callable[[], Awaitable[HealthReport]] | None = None
    known: Callable[[], HealthReport] | None = None
    """The report on readiness without a probe, as if the server were neither starting nor stopping."""
    bans: Callable[[object], Awaitable[Mapping[str, Any]]] | None = None
    """Answers requests about bans, see `app/ban_requests.py`."""


class AdminApi:
    """Does the calls."""

    def __init__(self, server: WholeServer) -> None:
        self.server = server
        self.series_recorder = SeriesRecorder(server.metrics)
        self._options = server.options
        self._ask = server.processes.ask
        self._began = time.time()
        self._is_stopping = False

    async def do(self, call: ApiCall) -> BaseModel:
        """Do a call: the method with its name does.

        Raises ApiRefusal: if it cannot be done.
        """
        found: BaseModel = await getattr(self, f"_{call.route.call}")(call)
        return found

    # ── the server

    async def _server(self, _call: ApiCall) -> models.ServerStatus:
        server = self.server
        is_good = server.ready is not None and (await server.ready()).is_good
        serving = "ready" if is_good else "unready"
        report = server.known() if server.known is not None else HealthReport()
        return models.ServerStatus(
            version=__version__,
            started_at=_time(self._began),
            uptime_seconds=round(time.time() - self._began, 3),
            state={Phase.STARTING: "starting", Phase.DRAINING: "draining"}.get(server.phase(), serving),
            workers=server.workers,
            log_level=log_level(),
            dependencies=dependencies(self._options, server.workers, report),
            counters=server_counters(server.metrics),
        )

    async def _version(self, _call: ApiCall) -> models.VersionView:
        return models.VersionView(version=__version__, python=platform.python_version())

    async def _config(self, _call: ApiCall) -> models.ConfigurationView:
        return models.ConfigurationView(options=options_view(self._options))

    async def _drain(self, _call: ApiCall) -> models.Accepted:
        if self._is_stopping or self.server.phase() is Phase.DRAINING:  # again would cut transfers off
            return models.Accepted(detail="the server is stopping already")
        if self.server.phase() is Phase.STARTING:
            raise _unavailable("the server does not accept connections yet")
        self._is_stopping = True
        self.server.stop()
        return models.Accepted(detail="running transfers may finish, then the server ends")

    async def _log_level(self, _call: ApiCall) -> models.LogLevel:
        answers = await self._ask({"ask": "log_level"})
        return self._level(answers)

    async def _set_log_level(self, call: ApiCall) -> models.LogLevel:
        return await self._change_level(call.body.level, is_own=True)

    async def _reset_log_level(self, _call: ApiCall) -> models.LogLevel:
        return await self._change_level(self._options.log.level, is_own=False)

    async def _change_level(self, level: str, *, is_own: bool) -> models.LogLevel:
        self.server.processes.set_log_level(level if is_own else None)
        change_log_level(level)
        return self._level(await self._ask({"ask": "log_level", "level": level}), level)

    def _level(self, answers: Answers, wanted: str | None = None) -> models.LogLevel:
        level = wanted or log_level()
        return models.LogLevel(level=level, configured=self._options.log.level, not_answered=answers.missing)

    # ── sessions and transfers

    async def _sessions(self, call: ApiCall) -> models.SessionPage:
        query: models.SessionsQuery = call.query
        answers = await self._ask(
            {"ask": "sessions", "user": query.user, "after": query.cursor, "limit": query.limit + 1}
        )
        items = sorted(_all(answers, models.SftpSessionEntry), key=lambda each: each.id)
        page = items[: query.limit]
        more = page[-1].id if len(items) > query.limit else None
        return models.SessionPage(items=page, next=more, not_answered=answers.missing)

    async def _session(self, call: ApiCall) -> models.SftpSessionEntry:
        answers = await self._ask({"ask": "sessions", "id": call.parameters["id"], "limit": 1})
        for found in _all(answers, models.SftpSessionEntry):
            return found
        raise _not_found(call, answers)

    async def _disconnect(self, call: ApiCall) -> models.Accepted:
        answers = await self._ask({"ask": "disconnect", "id": call.parameters["id"]})
        if not any(answers.given):
            raise _not_found(call, answers)
        return models.Accepted(detail="the connection ends; unfinished uploads are aborted")

    async def _transfers(self, call: ApiCall) -> models.TransferList:
        query: models.TransfersQuery = call.query
        answers = await self._ask({"ask": "transfers", **query.model_dump()})
        items = _all(answers, models.TransferEntry)
        if query.state == "recent":
            items.sort(key=lambda each: each.ended_at or _time(0), reverse=True)
        else:
            items.sort(key=lambda each: each.id)
        return models.TransferList(items=items[: query.limit], not_answered=answers.missing)

    async def _costs(self, _call: ApiCall) -> models.CostList:
        answers = await self._ask({"ask": "costs"})
        return costs_of_day(answers.given, answers.missing, time.time())

    async def _series(self, call: ApiCall) -> models.Series:
        points = self.series_recorder.latest(call.query.minutes)
        names = ("bytes_in", "bytes_out", "s3_requests", "sessions", "failures")
        return models.Series(
            at=[_time(point.at) for point in points],
            **{name: [getattr(point, name) for point in points] for name in names},
        )

    # ── users, logins, bans

    async def _users(self, _call: ApiCall) -> models.UserList:
        now = datetime.now(UTC)
        accounts = self.server.accounts()
        return models.UserList(items=[user_entry(name, accounts[name], now) for name in sorted(accounts)])

    async def _user(self, call: ApiCall) -> models.UserDetail:
        name = call.parameters["name"]
        account = self.server.accounts().get(name)
        if account is None:
            raise ApiRefusal(HTTPStatus.NOT_FOUND, call.route.not_found)
        return user_detail(self._options, name, account, datetime.now(UTC))

    async def _dry_run(self, call: ApiCall) -> models.DryRunResult:
        wanted: models.DryRunRequest = call.body
        address = _checked(call.parameters["name"], wanted)
        ban = await self._known_ban(address)
        answers = await self.server.processes.ask_one(
            {
                "ask": "dry_run",
                "user": call.parameters["name"],
                "key": wanted.key,
                "from": address,
                "try": wanted.tries,
                "methods": wanted.methods,
                "ban": ban,
            }
        )
        for answer in answers.given:
            if UNAVAILABLE in answer:
                raise _unavailable(answer[UNAVAILABLE])
            return models.DryRunResult.model_validate(answer)
        raise _unavailable("no process that serves has answered in time")

    async def _failed_logins(self, call: ApiCall) -> models.FailedLoginList:
        answers = await self._ask({"ask": "failed_logins", "limit": call.query.limit})
        items = sorted(_all(answers, models.FailedLogin), key=lambda each: each.time, reverse=True)
        return models.FailedLoginList(items=items[: call.query.limit], not_answered=answers.missing)

    async def _bans(self, _call: ApiCall) -> models.BanList:
        answer = await self._about_bans({"command": "bans.list"})
        items = [models.BanEntry(id=_ban_id(ban["source"]), **_replica(ban)) for ban in answer["bans"]]
        return models.BanList(items=items, warning=answer.get("warning"))

    async def _lift_ban(self, call: ApiCall) -> models.BanLifted:
        source = call.parameters["id"].replace("_", "/")
        try:
            answer = await self._about_bans({"command": "bans.lift", "address": source})
        except InvalidRequest:
            raise ApiRefusal(HTTPStatus.NOT_FOUND, call.route.not_found) from None
        if not answer["lifted"]:
            raise ApiRefusal(HTTPStatus.NOT_FOUND, call.route.not_found)
        return models.BanLifted(lifted=True, warning=answer.get("warning"))

    async def _about_bans(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.server.bans is None or self.server.phase() is Phase.STARTING:
            raise _unavailable("the server does not accept connections yet")
        return await self.server.bans(request)

    async def _known_ban(self, address: str) -> dict[str, Any]:
        if not address:
            return {"state": "unknown", "reason": "no address was given"}
        for ban in (await self._about_bans({"command": "bans.list"}))["bans"]:
            if ban["source"] == source_of(address):
                return {"state": "banned", "reason": ban["reason"], "until": ban["until"]}
        return {"state": "none"}


def _all(answers: Answers, model: type[models.Entry]) -> list[models.Entry]:
    """The entries in all answers. A process whose answer is none has not answered."""
    found = []
    for given in answers.given:
        try:
            found += [model.model_validate(each) for each in given]
        except (ValidationError, TypeError):
            _log.exception("admin.answer_invalid")
    return found


def _not_found(call: ApiCall, answers: Answers) -> ApiRefusal:
    if answers.missing:
        numbers = ", ".join(map(str, answers.missing))
        return _unavailable(f"{call.route.not_found} in the workers that answered; without answer: {numbers}")
    return ApiRefusal(HTTPStatus.NOT_FOUND, call.route.not_found)


def _unavailable(detail: str) -> ApiRefusal:
    return ApiRefusal(HTTPStatus.SERVICE_UNAVAILABLE, detail)


def _checked(user: str, wanted: models.DryRunRequest) -> str:
    """The address, once everything in the request can be tried.

    Raises ApiRefusal: if it cannot.
    """
    address = ""
    if printable(user) != user:  # by no protocol can a client give such a name
        raise ApiRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"no user can have the name {printable(user)!r}")
    try:
        if wanted.key is not None:
            key_presented(wanted.key.encode(), "key")
        for each in wanted.tries:
            parse_operation(each)
        if wanted.from_:
            address = normalized_address(str(ipaddress.ip_address(wanted.from_)))
    except (UnusableKeyFile, ValueError) as problem:
        raise ApiRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, str(problem)) from None
    return address


def _ban_id(source: str) -> str:
    return source.replace("/", "_")


def _replica(ban: Mapping[str, Any]) -> dict[str, Any]:
    return {**ban, "replica": ban["replica"] or None}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
