"""The routes of the admin API: the one table from which requests are dispatched, access is decided, and
`/openapi.json` is generated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel

from s3sftp.admin import api_models as models

Method = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True)
class ApiRoute:
    """One call."""

    method: Method
    path: str
    """With parameters in braces: each is one component."""
    call: str
    """The name of the call, which is the `operationId` too."""
    summary: str
    answer: type[BaseModel] | None
    """None: the document that describes the API."""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    not_found: str = ""
    """What status 404 means; empty if it cannot be answered."""
    reads: bool = False
    """It changes nothing although it is no GET: tokens that are read-only may."""

    @property
    def changes(self) -> bool:
        """Whether it changes something: not for read-only tokens, and a line of the audit log."""
        return self.method != "GET" and not self.reads

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters in the path."""
        return re.findall(r"\{(\w+)\}", self.path)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches a path that is still percent-encoded."""
        return re.compile(
            re.sub(
                r"\{(\w+)\}", r"(?P<\1>[^/]+)", re.escape(self.path).replace(r"\{", "{").replace(r"\}", "}")
            )
        )

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The parameters in a percent-encoded path; None if the path is another one."""
        found = self.pattern.fullmatch(raw_path)
        if found is None:
            return None
        return {name: unquote(value, errors="surrogateescape") for name, value in found.groupdict().items()}


_API = "/api/v1"
_NO_SESSION = "no session with this id is open"
_NO_USER = "the configuration has no such user"

ROUTES: tuple[ApiRoute, ...] = (
    ApiRoute(
        "GET", f"{_API}/server", "server", "The server's state, dependencies and load.", models.ServerStatus
    ),
    ApiRoute("GET", f"{_API}/version", "version", "The version.", models.VersionView),
    ApiRoute(
        "GET", f"{_API}/config", "config", "The options in force, without secrets.", models.ConfigurationView
    ),
    ApiRoute(
        "GET", f"{_API}/sessions", "sessions", "The open sessions.", models.SessionPage, models.SessionsQuery
    ),
    ApiRoute(
        "GET",
        f"{_API}/sessions/{{id}}",
        "session",
        "One open session.",
        models.SftpSessionEntry,
        not_found=_NO_SESSION,
    ),
    ApiRoute(
        "DELETE",
        f"{_API}/sessions/{{id}}",
        "disconnect",
        "End a session and its connection. Unfinished uploads are aborted.",
        models.Accepted,
        status=202,
        not_found=_NO_SESSION,
    ),
    ApiRoute(
        "GET",
        f"{_API}/transfers",
        "transfers",
        "Transfers that are under way, or the latest that ended.",
        models.TransferList,
        models.TransfersQuery,
    ),
    ApiRoute("GET", f"{_API}/users", "users", "The users of the configuration.", models.UserList),
    ApiRoute(
        "GET",
        f"{_API}/users/{{name}}",
        "user",
        "What a user may do, with groups and defaults applied.",
        models.UserDetail,
        not_found=_NO_USER,
    ),
    ApiRoute(
        "POST",
        f"{_API}/users/{{name}}/dry-run",
        "dry_run",
        "Try a login and operations, and change nothing.",
        models.DryRunResult,
        body=models.DryRunRequest,
        reads=True,
    ),
    ApiRoute("GET", f"{_API}/bans", "bans", "The bans in force, those of replicas included.", models.BanList),
    ApiRoute(
        "DELETE",
        f"{_API}/bans/{{id}}",
        "lift_ban",
        "End a ban.",
        models.BanLifted,
        not_found="no such source is banned",
    ),
    ApiRoute(
        "GET",
        f"{_API}/logins/failed",
        "failed_logins",
        "The latest logins that failed.",
        models.FailedLoginList,
        models.LimitQuery,
    ),
    ApiRoute("GET", f"{_API}/costs", "costs", "What each user has moved and caused today.", models.CostList),
    ApiRoute(
        "GET",
        f"{_API}/series",
        "series",
        "Bytes, requests, sessions and failures over time.",
        models.Series,
        models.SeriesQuery,
    ),
    ApiRoute(
        "POST",
        f"{_API}/drain",
        "drain",
        "Stop as after SIGTERM: no new connections, running transfers may finish.",
        models.Accepted,
        status=202,
    ),
    ApiRoute("GET", f"{_API}/log-level", "log_level", "The level of the log.", models.LogLevel),
    ApiRoute(
        "PUT",
        f"{_API}/log-level",
        "set_log_level",
        "Set the level of the log in all processes.",
        models.LogLevel,
        body=models.LogLevelRequest,
    ),
    ApiRoute(
        "DELETE",
        f"{_API}/log-level",
        "reset_log_level",
        "Return to the configured level of the log.",
        models.LogLevel,
    ),
    ApiRoute("GET", "/openapi.json", "openapi", "This document.", None),
)


@dataclass(frozen=True)
class ApiCall:
    """A request that has been parsed."""

    route: ApiRoute
    parameters: dict[str, str]
    query: Any = None
    """An instance of the route's `query`."""
    body: Any = None
    """An instance of the route's `body`."""


def allowed_methods(raw_path: str) -> list[Method]:
    """The methods that the path has; empty if there is no such path."""
    return [route.method for route in ROUTES if route.match(raw_path) is not None]


def find_route(method: str, raw_path: str) -> tuple[ApiRoute, dict[str, str]] | None:
    """The route of a request, and the parameters in its path."""
    for route in ROUTES:
        if route.method == method and (parameters := route.match(raw_path)) is not None:
            return route, parameters
    return None
