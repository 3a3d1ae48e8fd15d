"""What the admin API answers and takes, as pydantic models: `/openapi.json` is generated from them.

Times are UTC in ISO 8601. Texts that came from clients, such as paths, are printable: what is not is escaped.
Lists that processes answer for have `not_answered`: the workers that did not answer in time, by number.
"""

from s3sftp.admin.api_models.bans import BanEntry, BanLifted, BanList
from s3sftp.admin.api_models.common import (
    MAX_ITEMS,
    Accepted,
    ApiAnswer,
    ApiInput,
    Entry,
    Limit,
    LimitQuery,
    Problem,
    Text,
)
from s3sftp.admin.api_models.costs import CostList, UserCost
from s3sftp.admin.api_models.dry_runs import MAX_TRIES, DryRunRequest, DryRunResult
from s3sftp.admin.api_models.logins import FailedLogin, FailedLoginList
from s3sftp.admin.api_models.series import Series, SeriesQuery
from s3sftp.admin.api_models.server import (
    ConfigurationView,
    Dependency,
    LogLevel,
    LogLevelName,
    LogLevelRequest,
    ServerCounters,
    ServerStatus,
    VersionView,
)
from s3sftp.admin.api_models.sessions import SessionPage, SessionsQuery, SftpSessionEntry
from s3sftp.admin.api_models.transfers import TransferEntry, TransferList, TransfersQuery, TransferState
from s3sftp.admin.api_models.users import UserDetail, UserEntry, UserList, UserRule

__all__ = [
    "MAX_ITEMS",
    "MAX_TRIES",
    "Accepted",
    "ApiAnswer",
    "ApiInput",
    "BanEntry",
    "BanLifted",
    "BanList",
    "ConfigurationView",
    "CostList",
    "Dependency",
    "DryRunRequest",
    "DryRunResult",
    "Entry",
    "FailedLogin",
    "FailedLoginList",
    "Limit",
    "LimitQuery",
    "LogLevel",
    "LogLevelName",
    "LogLevelRequest",
    "Problem",
    "Series",
    "SeriesQuery",
    "ServerCounters",
    "ServerStatus",
    "SessionPage",
    "SessionsQuery",
    "SftpSessionEntry",
    "Text",
    "TransferEntry",
    "TransferList",
    "TransferState",
    "TransfersQuery",
    "UserCost",
    "UserDetail",
    "UserEntry",
    "UserList",
    "UserRule",
    "VersionView",
]
