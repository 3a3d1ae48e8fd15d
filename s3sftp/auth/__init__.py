"""Authentication: accounts, public keys, passwords, bans, and the contract for an application's own users."""

from s3sftp.auth.account_codec import account_from_line, account_to_line
from s3sftp.auth.accounts import Account, Accounts, BadKey, Logins, log_account_problems, read_logins
from s3sftp.auth.address_patterns import AllowedSources, normalized_address
from s3sftp.auth.auth_gateway import AuthGateway, AuthResult
from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.bans import Bans, source_of
from s3sftp.auth.chain import ChainedUsers, KnownUsers
from s3sftp.auth.configured_users import ConfiguredUsers
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.passwords import hash_password
from s3sftp.auth.static import StaticUser, StaticUsers
from s3sftp.auth.user_options import UserOptions, user_name_problem

__all__ = [
    "Account",
    "Accounts",
    "AllowedSources",
    "AuthGateway",
    "AuthOptions",
    "AuthResult",
    "Authenticator",
    "AuthorizedKey",
    "BadKey",
    "Bans",
    "ChainedUsers",
    "ConfiguredUsers",
    "Identity",
    "KnownUsers",
    "Logins",
    "StaticUser",
    "StaticUsers",
    "UserOptions",
    "account_from_line",
    "account_to_line",
    "hash_password",
    "log_account_problems",
    "normalized_address",
    "read_logins",
    "source_of",
    "user_name_problem",
]
