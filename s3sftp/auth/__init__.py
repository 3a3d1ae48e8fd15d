"""Who may come in, and as whom."""

from s3sftp.auth.accounts import Account, Accounts, BadKey, Logins, read_logins, tell_what_is_wrong
from s3sftp.auth.asking import Answer, Asking
from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions, UserOptions, user_name_problem
from s3sftp.auth.passwords import hash_password
from s3sftp.auth.sources import AllowedSources, plain
from s3sftp.auth.static import StaticUser, StaticUsers
from s3sftp.auth.throttle import Bans, source_of
from s3sftp.auth.users import ConfiguredUsers

__all__ = [
    "Account",
    "Accounts",
    "AllowedSources",
    "Answer",
    "Asking",
    "AuthOptions",
    "Authenticator",
    "AuthorizedKey",
    "BadKey",
    "Bans",
    "ConfiguredUsers",
    "Identity",
    "Logins",
    "StaticUser",
    "StaticUsers",
    "UserOptions",
    "hash_password",
    "plain",
    "read_logins",
    "source_of",
    "tell_what_is_wrong",
    "user_name_problem",
]
