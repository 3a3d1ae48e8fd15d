"""Authentication: accounts, public keys, passwords, bans, and the contract for an application's own users."""

from s3sftp.auth.account_changes import AccountChanges, compare_accounts, describe_account
from s3sftp.auth.account_codec import account_from_line, account_to_line
from s3sftp.auth.accounts import (
    Account,
    Accounts,
    BadKey,
    Logins,
    UnusedGroup,
    identity_of,
    log_account_problems,
    log_unused_groups,
    read_logins,
)
from s3sftp.auth.address_patterns import AllowedSources, normalized_address, normalized_networks
from s3sftp.auth.auth_gateway import AuthGateway, AuthResult
from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.bans import Ban, BanPolicy, Bans, TooManyBans, source_of
from s3sftp.auth.certificates import Certificate, is_certificate, parse_certificate
from s3sftp.auth.chain import ChainedUsers, KnownUsers
from s3sftp.auth.configured_users import ConfiguredUsers
from s3sftp.auth.defender import Defender, Offence
from s3sftp.auth.identity import Identity
from s3sftp.auth.key_entries import leading_name
from s3sftp.auth.limits import LimitOptions, Limits
from s3sftp.auth.login_methods import Factor, Factors, LoginMethods
from s3sftp.auth.login_rules import LoginRules
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.passwords import hash_password
from s3sftp.auth.revocation_file import RevocationFile
from s3sftp.auth.revocations import BadRevocations
from s3sftp.auth.static import StaticUser, StaticUsers
from s3sftp.auth.trusted_authorities import read_authorities
from s3sftp.auth.user_groups import Definition, Groups, Layers, without_nulls
from s3sftp.auth.user_options import GroupOptions, UserOptions, user_name_problem

__all__ = [
    "Account",
    "AccountChanges",
    "Accounts",
    "AllowedSources",
    "AuthGateway",
    "AuthOptions",
    "AuthResult",
    "Authenticator",
    "AuthorizedKey",
    "BadKey",
    "BadRevocations",
    "Ban",
    "BanPolicy",
    "Bans",
    "Certificate",
    "ChainedUsers",
    "ConfiguredUsers",
    "Defender",
    "Definition",
    "Factor",
    "Factors",
    "GroupOptions",
    "Groups",
    "Identity",
    "KnownUsers",
    "Layers",
    "LimitOptions",
    "Limits",
    "LoginMethods",
    "LoginRules",
    "Logins",
    "Offence",
    "RevocationFile",
    "StaticUser",
    "StaticUsers",
    "TooManyBans",
    "UnusedGroup",
    "UserOptions",
    "account_from_line",
    "account_to_line",
    "compare_accounts",
    "describe_account",
    "hash_password",
    "identity_of",
    "is_certificate",
    "leading_name",
    "log_account_problems",
    "log_unused_groups",
    "normalized_address",
    "normalized_networks",
    "parse_certificate",
    "read_authorities",
    "read_logins",
    "source_of",
    "user_name_problem",
    "without_nulls",
]
