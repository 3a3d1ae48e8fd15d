"""What the admin API answers and takes, as pydantic models: `/openapi.json` is generated from them.

Times are UTC in ISO 8601. Texts that came from clients, such as paths, are printable: what is not is escaped.
Lists that processes answer for have `not_answered`: the workers that did not answer in time, by number.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, StringConstraints

MAX_ITEMS = 1000
"""The largest `limit` of a list."""
MAX_TRIES = 20
"""The largest number of operations in a dry run."""

LogLevelName = Literal["debug", "info", "warning", "error"]
TransferState = Literal["live", "committed", "failed", "aborted"]
Text = Annotated[str, StringConstraints(max_length=256)]
Limit = Annotated[int, Field(ge=1, le=MAX_ITEMS)]


class ApiAnswer(BaseModel):
    """What is answered. Fields are always all there."""

    model_config = ConfigDict(frozen=True)


Entry = TypeVar("Entry", bound=ApiAnswer)


class ApiInput(BaseModel):
    """What is asked: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(ApiAnswer):
    """Why a request was refused or failed, by RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Dependency(ApiAnswer):
    """Something that the server needs."""

    name: str
    """`storage`, `storage NAME`, `workers`, `hook`, `dynamodb`, `secrets_manager`, `shared_state`,
    `revocations` or `permissions`."""
    ok: bool
    detail: str = ""
    """What is wrong, and what to do; empty if nothing is."""


class ServerCounters(ApiAnswer):
    """What there is now, in all workers together."""

    connections: NonNegativeInt
    sessions: NonNegativeInt
    open_handles: NonNegativeInt
    buffered_bytes: NonNegativeInt
    """File content in memory; at most a second old."""
    buffer_bytes: NonNegativeInt
    """What may be in memory."""


class ServerStatus(ApiAnswer):
    """The server as a whole."""

    version: str
    started_at: datetime
    uptime_seconds: NonNegativeFloat
    state: Literal["starting", "ready", "unready", "draining"]
    workers: NonNegativeInt
    log_level: LogLevelName
    dependencies: list[Dependency]
    counters: ServerCounters


class SftpSessionEntry(ApiAnswer):
    """A session that is open now."""

    id: str
    user: str
    peer: str
    client: str
    """The name and version that the client gives itself."""
    method: str
    """How the user logged in, such as `publickey` or `password+totp`."""
    started_at: datetime
    idle_seconds: NonNegativeFloat
    """Since bytes last moved, either way."""
    worker: NonNegativeInt
    """Number of the process that serves it; 0 if there is only one."""
    handles: NonNegativeInt
    operations: NonNegativeInt
    """Requests that have arrived."""
    bytes_in: NonNegativeInt
    """File content that the client has written."""
    bytes_out: NonNegativeInt
    trace_id: str | None = None


class SessionPage(ApiAnswer):
    """Sessions, in the order of their ids."""

    items: list[SftpSessionEntry]
    next: str | None = None
    """The `cursor` of the following page; null: this is the last one."""
    not_answered: list[int] = []


class Accepted(ApiAnswer):
    """What has begun and is not done yet."""

    accepted: Literal[True] = True
    detail: str = ""


class TransferEntry(ApiAnswer):
    """A file that is open, or was."""

    id: str
    session: str
    user: str
    peer: str
    direction: Literal["upload", "download"]
    path: str
    bucket: str | None = None
    key: str | None = None
    bytes: NonNegativeInt
    """What the client has moved so far."""
    size: NonNegativeInt | None = None
    """The size of the file; null for an upload that is under way."""
    seconds: NonNegativeFloat
    bytes_per_second: NonNegativeFloat
    state: TransferState
    reason: str | None = None
    """Why it was aborted, or the kind of its failure."""
    error: str | None = None
    ended_at: datetime | None = None
    trace_id: str | None = None
    s3_requests: NonNegativeInt = 0
    s3_dollars: NonNegativeFloat = 0.0
    """An estimate by list prices, as in the log."""


class TransferList(ApiAnswer):
    """Live transfers by id, or recent ones, the latest first."""

    items: list[TransferEntry]
    not_answered: list[int] = []


class UserEntry(ApiAnswer):
    """A user of the configuration."""

    name: str
    source: str
    enabled: bool
    """Whether the user may log in now, as far as the account says."""
    methods: list[str]
    """The combinations of methods that log in, such as `publickey` or `publickey+totp`."""


class UserList(ApiAnswer):
    """The users of the configuration. Users of other sources are known to these alone."""

    items: list[UserEntry]


class UserRule(ApiAnswer):
    """What a user may do at a path and below."""

    kind: Literal["mount", "file", "listing", "path"]
    path: str
    storage: str | None = None
    """Where the mount leads, such as `s3://bucket/prefix/`."""
    rights: list[str]
    allow: list[str]
    deny: list[str]
    hide: list[str]
    max_file_bytes: NonNegativeInt | None
    on_conflict: str


class UserDetail(UserEntry):
    """What a user may, after groups and defaults. Of secrets there is nothing."""

    reason: str | None = None
    """Why the user may not log in now."""
    has_password: bool
    has_second_factor: bool
    keys: NonNegativeInt
    limits: dict[str, int | float]
    """The limits in force; what is not here is not limited."""
    rules: list[UserRule]
    attributes: list[str]
    """Names of attributes; values may be secrets."""


class DryRunRequest(ApiInput):
    """A login, and operations after it, that are only tried."""

    key: Annotated[str, StringConstraints(max_length=16384)] | None = None
    """A public key or certificate as in `authorized_keys` or `.pub`. Without one, the login is taken for
    granted as far as methods go, and only the account and the operations are judged."""
    from_: Annotated[str, StringConstraints(max_length=64)] = Field(default="", alias="from")
    """The address of the client; empty: unknown."""
    tries: list[Text] = Field(default=[], alias="try", max_length=MAX_TRIES)
    """Operations such as `put /inbox/x.csv`, as `s3sftp test-login --try` takes them."""
    methods: list[Literal["publickey", "password", "totp"]] | None = Field(default=None, max_length=3)
    """The methods that the client is taken to prove, without `key`; default: those that the user needs."""


class DryRunResult(ApiAnswer):
    """What `s3sftp test-login` says, as its `--json`."""

    user: str
    accepted: bool
    """Whether the login would be."""
    all_allowed: bool
    """Whether the login and every operation would be accepted, as far as that is known."""
    source: str | None
    credentials: list[dict[str, Any]]
    missing: list[str]
    ban: dict[str, Any]
    rules: list[dict[str, Any]]
    operations: list[dict[str, Any]]
    reason: str | None = None
    """Why the login would be refused, if it was taken for granted."""
    not_checked: list[str]


class BanEntry(ApiAnswer):
    """A ban in force, of this server or of a replica that shares its bans."""

    id: str
    """The source with `_` for `/`."""
    source: str
    reason: str
    score: float
    number: NonNegativeInt
    """The how manyth ban of the source it is."""
    seconds: NonNegativeFloat
    remaining_seconds: NonNegativeFloat
    until: datetime
    replica: str | None = None
    """The replica that banned it; null: this server."""


class BanList(ApiAnswer):
    """All bans."""

    items: list[BanEntry]
    warning: str | None = None
    """Why other replicas may know of others."""


class BanLifted(ApiAnswer):
    """A ban has ended."""

    lifted: bool
    warning: str | None = None


class FailedLogin(ApiAnswer):
    """A login that did not succeed."""

    time: datetime
    user: str
    peer: str
    method: str
    reason: str


class FailedLoginList(ApiAnswer):
    """The latest first."""

    items: list[FailedLogin]
    not_answered: list[int] = []


class UserCost(ApiAnswer):
    """What a user has moved and caused since midnight UTC; `other`: users beyond the bound, together."""

    user: str
    s3_requests: NonNegativeInt
    s3_dollars: NonNegativeFloat
    bytes_in: NonNegativeInt
    bytes_out: NonNegativeInt
    files_in: NonNegativeInt
    files_out: NonNegativeInt


class CostList(ApiAnswer):
    """The most expensive first."""

    day: str
    """The day in UTC, such as 2027-01-31."""
    items: list[UserCost]
    not_answered: list[int] = []


class Series(ApiAnswer):
    """What has happened, every 5 seconds: lists of one length."""

    at: list[datetime]
    """The end of each interval."""
    bytes_in: list[NonNegativeInt]
    bytes_out: list[NonNegativeInt]
    s3_requests: list[NonNegativeInt]
    sessions: list[NonNegativeInt]
    """At the end of the interval."""
    failures: list[NonNegativeInt]
    """Transfers that failed."""


class LogLevelRequest(ApiInput):
    """A level for all processes, until the server restarts."""

    level: LogLevelName


class LogLevel(ApiAnswer):
    """The level in force."""

    level: LogLevelName
    configured: LogLevelName
    not_answered: list[int] = []


class ConfigurationView(ApiAnswer):
    """The options in force, by group. In the place of a secret there is `***`."""

    options: dict[str, Any]


class VersionView(ApiAnswer):
    """The versions of the server and of what it runs on."""

    version: str
    python: str


class SessionsQuery(ApiInput):
    """Which sessions."""

    user: Text | None = None
    limit: Limit = 100
    cursor: Text | None = None
    """`next` of the page before."""


class TransfersQuery(ApiInput):
    """Which transfers."""

    state: Literal["live", "recent"] = "live"
    user: Text | None = None
    result: Literal["committed", "failed", "aborted"] | None = None
    limit: Limit = 100


class LimitQuery(ApiInput):
    """How many."""

    limit: Limit = 100


class SeriesQuery(ApiInput):
    """How far back."""

    minutes: Annotated[int, Field(ge=1, le=60)] = 15
