"""The catalogue of metrics: every instrument, the values of its labels, and its rows in the table.

    row 0      s3sftp_connections                             gauges first: cleared when a worker ends
    row 1      s3sftp_sessions
    …
    row 12     s3sftp_connections_total{result="accepted"}    counters and histograms stay
    row 13     s3sftp_connections_total{result="refused"}
    …          histogram: a row for each bucket, one for values beyond, one for the sum

A metric of requests to S3 has its rows once for each of `MOST_STORAGES` storages, whose names are those of
the configuration.

Every series is declared, so clients cannot create more of them. Each has a row in `SharedCounters`, so
several processes count together without a lock, and the metric's value is the sum. The numbers are integers:
seconds are counted in microseconds. docs/metrics.md is generated from this module.
"""

from __future__ import annotations

from itertools import product

from s3sftp import __version__
from s3sftp.telemetry.instrument import Instrument, InstrumentKind, MetricGroup

MICRO = 1_000_000
"""Table units for a second."""

OPERATIONS = (
    *("open", "close", "read", "write", "lstat", "fstat", "setstat", "fsetstat", "opendir", "readdir"),
    *("remove", "mkdir", "rmdir", "realpath", "stat", "rename", "readlink", "symlink"),
    *("posix-rename", "statvfs", "fstatvfs", "fsync", "lsetstat", "limits", "expand-path", "copy-data"),
    *("check-file", "check-file-name", "check-file-handle", "home-directory", "unknown"),
)
"""Packet types and extensions, by their names in the log."""
STATUSES = (
    *("ok", "eof", "no_such_file", "permission_denied", "failure", "bad_message"),
    *("no_connection", "connection_lost", "op_unsupported"),
)
"""SFTP's status codes, indexed by number."""
_SENT_STATUSES = tuple(name for name in STATUSES if name not in ("eof", "no_connection", "connection_lost"))
_MAY_END = ("read", "readdir")

LOGIN_METHODS = ("password", "keyboard-interactive", "publickey")

S3_APIS = (
    *("GetObject", "HeadObject", "PutObject", "DeleteObject", "CopyObject", "ListObjectsV2"),
    *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
    *("AbortMultipartUpload", "ListMultipartUploads", "ListParts", "DeleteObjects", "GetObjectTagging"),
    *("HeadBucket", "GetBucketLifecycleConfiguration", "GetBucketVersioning", "ListObjects"),
    "other",
)
S3_RESULTS = ("ok", "client_error", "server_error", "throttled", "no_answer")

ENDED_EARLY = (
    *("client_closed", "connection_lost", "session_ended", "idle", "stalled", "protocol_error"),
    *("internal_error", "cancelled"),
)
"""Reasons why a transfer was aborted, in either direction."""
EVENT_SINKS = ("sqs", "sns", "eventbridge", "webhook", "file", "other")
"""The types of sinks."""
EVENT_KINDS = (
    *("upload.committed", "upload.failed", "upload.aborted"),
    *("download.completed", "download.failed", "download.aborted"),
    *("file.removed", "file.renamed", "directory.renamed"),
    *("login.succeeded", "login.failed", "file.missing", "other"),
)
EVENT_RESULTS = ("delivered", "failed", "retried", "refused", "kept", "lost")
FAILURES = (
    *("not_found", "already_exists", "permission_denied", "not_a_directory", "is_a_directory", "not_empty"),
    *(
        "invalid_request",
        "unsupported",
        "other_storage",
        "changed",
        "no_space",
        "busy",
        "timed_out",
        "storage_failure",
    ),
    *("storage_error", "internal_error"),
)
"""Reasons why a transfer failed: the classes of `StorageError`, and `internal_error` for everything else."""
_TRANSFERS = (
    *product(("upload", "download"), ("committed",), ("closed",)),
    *product(("upload",), ("aborted",), ("unchanged", "removed")),
    *product(("upload", "download"), ("aborted",), ENDED_EARLY),
    *product(("upload", "download"), ("failed",), FAILURES),
)

_DURATIONS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

BUILD_INFO = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.GAUGE,
    "s3sftp_build_info",
    "Always 1; says the version.",
    ("version",),
    ((__version__,),),
)
READY = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.GAUGE,
    "s3sftp_ready",
    "1 while a client would be served: started, a worker is ready, not draining, and the storage answers, as"
    " far as `/readyz` and clients' requests have found out. Reading it asks the storage nothing.",
)
WORKERS = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.GAUGE,
    "s3sftp_workers",
    "Processes that are configured to serve connections.",
)
WORKERS_READY = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.GAUGE,
    "s3sftp_workers_ready",
    "Workers that can take connections now; one that hangs cannot.",
)
WORKER_RESTARTS = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.COUNTER,
    "s3sftp_worker_restarts",
    "Workers that ended although nobody told them to, and were replaced.",
)
EVENT_LOOP_LAG = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.GAUGE,
    "s3sftp_event_loop_lag_seconds",
    "The longest delay of a worker's event loop in the last 15 to 30 seconds: for so long all of its sessions"
    " stood still.",
    ("worker",),
    unit="seconds",
    scale=MICRO,
    per_worker=True,
)
USERS = Instrument(MetricGroup.SERVER, InstrumentKind.GAUGE, "s3sftp_users", "Users that are configured.")
CONFIG_RELOADS = Instrument(
    MetricGroup.SERVER,
    InstrumentKind.COUNTER,
    "s3sftp_config_reloads",
    "Times that the configuration was read again; those that failed changed nothing.",
    ("result",),
    (("ok",), ("failed",)),
)

CONNECTIONS = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.GAUGE,
    "s3sftp_connections",
    "SSH connections that are served now, before and after their login; without those that wait for their"
    " turn to log in.",
)
CONNECTIONS_TOTAL = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_connections",
    "Connections by what became of them on arrival: `refused` are those of banned sources, those beyond a"
    " limit, those that waited for their turn in vain, and those whose PROXY header is missing or wrong.",
    ("result",),
    (("accepted",), ("refused",)),
)
BANS = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.GAUGE,
    "s3sftp_bans",
    "Bans in force now, whether they were caused by offences or added by the operator.",
)
BANS_TOTAL = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_bans",
    "Bans by the kind of offence that most of the source's points were for: `password`, `publickey`;"
    " `protocol`, something else than SSH; `no_login`, connections without an attempt to log in. `operator`:"
    " added by `s3sftp bans add`.",
    ("reason",),
    (("password",), ("publickey",), ("protocol",), ("no_login",), ("operator",)),
)
SESSIONS = Instrument(
    MetricGroup.CONNECTIONS, InstrumentKind.GAUGE, "s3sftp_sessions", "SFTP sessions that are open now."
)
LOGINS = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_logins",
    "Logins by method: `accepted`; `failed`, a wrong password or code, or a connection that proved too"
    " little; `refused`, right but one connection too many of the user; `error`, the authenticator gave no"
    " answer.",
    ("method", "result"),
    product(LOGIN_METHODS, ("accepted", "failed", "refused", "error")),
)

LIMITS_REACHED = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_limits_reached",
    "Times that a limit of a user took effect: `sessions` and `handles`, a session or an OPEN that was"
    " refused; `upload`, `download` and `requests`, a session that had to wait because the user was faster"
    " than allowed; `quota`, an upload, a copy or a rename that was refused.",
    ("limit",),
    (("sessions",), ("handles",), ("upload",), ("download",), ("requests",), ("quota",)),
)

HOOK_REQUESTS = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_hook_requests",
    "Requests to the hook that answers for users, each attempt: `answered` with status 200, whether it"
    " accepted or refused; `error_status`, any other status; `unusable`, an answer that is too long;"
    " `no_answer`, no connection, no TLS or no HTTP; `timed_out`, not within `hook.timeout`.",
    ("result",),
    (("answered",), ("error_status",), ("unusable",), ("no_answer",), ("timed_out",)),
)
HOOK_DOWN = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.GAUGE,
    "s3sftp_hook_down",
    "Processes whose latest requests to the hook all failed, so that they refuse its users without asking.",
)

AWS_USER_SERVICES = ("dynamodb", "secrets_manager")
AWS_USER_REQUESTS = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_aws_user_requests",
    "Requests for a user to DynamoDB or Secrets Manager, each attempt: `answered`, whether there is such a"
    " user or not; `throttled`; `denied`, a permission or valid credentials lack; `error`, any other error;"
    " `no_answer`, no connection or no credentials; `timed_out`, not within `timeout`.",
    ("service", "result"),
    product(AWS_USER_SERVICES, ("answered", "throttled", "denied", "error", "no_answer", "timed_out")),
)
AWS_USERS_DOWN = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.GAUGE,
    "s3sftp_aws_users_down",
    "Processes whose latest requests for users to this service all failed, so that they refuse its users"
    " without asking.",
    ("service",),
    tuple((service,) for service in AWS_USER_SERVICES),
)

SHARED_STATE_REQUESTS = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.COUNTER,
    "s3sftp_shared_state_requests",
    "Requests to the table that replicas share, each attempt, for `bans`, used verification `codes` and"
    " `quotas`: `answered`; `throttled`; `denied`, a permission or valid credentials lack; `error`, any"
    " other error; `no_answer`, no connection or no credentials; `timed_out`, not within"
    " `shared_state.timeout`.",
    ("purpose", "result"),
    product(
        ("bans", "codes", "quotas"),
        ("answered", "throttled", "denied", "error", "no_answer", "timed_out"),
    ),
)
SHARED_STATE_DOWN = Instrument(
    MetricGroup.CONNECTIONS,
    InstrumentKind.GAUGE,
    "s3sftp_shared_state_down",
    "Parts of the server that the table which replicas share did not answer the last time: one for bans, and"
    " one for quotas in each process that serves.",
)

OPERATIONS_TOTAL = Instrument(
    MetricGroup.OPERATIONS,
    InstrumentKind.COUNTER,
    "s3sftp_operations",
    "SFTP requests that were answered, by the packet's type or the extension's name, and by the status of the"
    " answer; answers without a status, such as data, are `ok`.",
    ("operation", "result"),
    (*product(OPERATIONS, _SENT_STATUSES), *product(_MAY_END, ("eof",))),
    other=("unknown", "failure"),
)
OPERATION_DURATION = Instrument(
    MetricGroup.OPERATIONS,
    InstrumentKind.HISTOGRAM,
    "s3sftp_operation_duration_seconds",
    "From the arrival of an SFTP request to its answer, including its wait for those before it. The end of a"
    " file or directory is `ok`; every other status is an `error`.",
    ("operation", "result"),
    product(OPERATIONS, ("ok", "error")),
    unit="seconds",
    scale=MICRO,
    bounds=_DURATIONS,
    other=("unknown", "error"),
)
OPEN_HANDLES = Instrument(
    MetricGroup.OPERATIONS,
    InstrumentKind.GAUGE,
    "s3sftp_open_handles",
    "Files and directories that clients have open now.",
    ("kind",),
    (("read",), ("write",), ("directory",)),
)

TRANSFERS = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.COUNTER,
    "s3sftp_transfers",
    "Files that were open, when they no longer are. `committed`: the client closed it, and what was uploaded"
    " is stored. `aborted`: it ended otherwise, and an upload has changed nothing. `failed`: an error ended"
    " it, whose kind is the reason.",
    ("direction", "result", "reason"),
    _TRANSFERS,
)
RECEIVED_BYTES = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.COUNTER,
    "s3sftp_received_bytes",
    "Bytes of file content that clients have written.",
    unit="bytes",
)
SENT_BYTES = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.COUNTER,
    "s3sftp_sent_bytes",
    "Bytes of file content that clients have read.",
    unit="bytes",
)
KEPT_UPLOADS = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.COUNTER,
    "s3sftp_kept_uploads",
    "Uploads that ended without CLOSE, by what became of their parts (`files.resume`). `kept`: they stay for"
    " their user. `resumed`: the user goes on. `discarded`: the user began anew, or removed the name."
    " `expired`: nobody came in time. `refused`: the user's limits left no room for them.",
    ("outcome",),
    tuple((outcome,) for outcome in ("kept", "resumed", "discarded", "expired", "refused")),
)
KEPT_UPLOADS_NOW = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.GAUGE,
    "s3sftp_kept_uploads",
    "Uploads that are in the bucket now for their users to continue them (`files.resume`); without those that"
    " run. What this server keeps and removes shows at once; what other replicas and `s3sftp uploads abort`"
    " do, at the next sweep (`s3.janitor_interval`). Each replica shows the whole bucket: take the maximum"
    " over them, not the sum.",
    per_storage=True,
)
KEPT_BYTES_NOW = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.GAUGE,
    "s3sftp_kept_upload_bytes",
    "Bytes of those uploads, which the store charges for, as their records have them. An upload that an older"
    " release has kept counts 0.",
    unit="bytes",
    per_storage=True,
)
FILES_MISSING = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.COUNTER,
    "s3sftp_files_missing",
    "Files that a rule of `[events.expect]` asks for and that were not there in time. The log says which.",
)
BUFFERED_BYTES = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.GAUGE,
    "s3sftp_buffered_bytes",
    "File content in memory, of uploads and read-ahead; at most a second old.",
    unit="bytes",
)
BUFFER_LIMIT_BYTES = Instrument(
    MetricGroup.TRANSFERS,
    InstrumentKind.GAUGE,
    "s3sftp_buffer_limit_bytes",
    "What may be in memory: `files.buffer_bytes`, of the workers that run.",
    unit="bytes",
)

EVENT_OUTCOMES = Instrument(
    MetricGroup.EVENTS,
    InstrumentKind.COUNTER,
    "s3sftp_events",
    "Events for other systems, by the type of the sink and the kind of the event. `delivered`: the sink has"
    " accepted it; `failed`: an attempt has failed; `retried`: a further attempt began; `refused`: the sink"
    " will never accept it; `kept`: it was written to the outbox because it could not be delivered at once;"
    " `lost`: it could be neither delivered nor kept.",
    ("sink", "kind", "result"),
    product(EVENT_SINKS, EVENT_KINDS, EVENT_RESULTS),
    other=("other", "other", "failed"),
)
EVENTS_WAITING = Instrument(
    MetricGroup.EVENTS,
    InstrumentKind.GAUGE,
    "s3sftp_events_waiting",
    "Events in memory that their sinks have not accepted yet, by the type of the sink; at most a second old."
    " More may wait in the outbox: `s3sftp events list`.",
    ("sink",),
    ((each,) for each in EVENT_SINKS),
    other=("other",),
)
EVENTS_OLDEST = Instrument(
    MetricGroup.EVENTS,
    InstrumentKind.GAUGE,
    "s3sftp_events_oldest_seconds",
    "Age of the oldest event in memory that its sink has not accepted yet, by worker; at most a second old.",
    ("worker",),
    unit="seconds",
    scale=MICRO,
    per_worker=True,
)

EVENT_SINKS_FAILING = Instrument(
    MetricGroup.EVENTS,
    InstrumentKind.GAUGE,
    "s3sftp_event_sinks_failing",
    "Sinks that have accepted nothing for five minutes although there was something, by type, summed over the"
    " workers.",
    ("sink",),
    ((each,) for each in EVENT_SINKS),
    other=("other",),
)

S3_REQUESTS = Instrument(
    MetricGroup.STORAGE,
    InstrumentKind.COUNTER,
    "s3sftp_s3_requests",
    "Requests to the store, each attempt, by S3's name of the API. `client_error`: a status 3xx or 4xx,"
    " including the 404 for a name that is free; `throttled`: the store asked to slow down (503, 429);"
    " `no_answer`: no valid answer came, or nobody waited for it any more.",
    ("api", "result"),
    product(S3_APIS, S3_RESULTS),
    per_storage=True,
)
S3_RETRIES = Instrument(
    MetricGroup.STORAGE,
    InstrumentKind.COUNTER,
    "s3sftp_s3_retries",
    "Those of the requests that repeat or continue an earlier one.",
    per_storage=True,
)
S3_THROTTLES = Instrument(
    MetricGroup.STORAGE,
    InstrumentKind.COUNTER,
    "s3sftp_s3_throttles",
    "Those of the requests that were answered with a demand to slow down.",
    per_storage=True,
)
S3_COST = Instrument(
    MetricGroup.STORAGE,
    InstrumentKind.COUNTER,
    "s3sftp_s3_cost_dollars",
    "An estimate of what the requests cost, by the list prices of S3 Standard in us-east-1; without transfer"
    " and storage.",
    unit="dollars",
    per_storage=True,
)

CATALOGUE = tuple(value for value in list(globals().values()) if isinstance(value, Instrument))
"""All instruments, in the order of the page."""


def _lay_out(first: int, *kinds: InstrumentKind) -> int:
    for each in CATALOGUE:
        if each.kind in kinds:
            first = each.lay_out(first)
    return first


GAUGE_ROWS = _lay_out(0, InstrumentKind.GAUGE)
ROWS = _lay_out(GAUGE_ROWS, InstrumentKind.COUNTER, InstrumentKind.HISTOGRAM)
"""Number of rows of the table. The first ones belong to the gauges."""
