"""Who may come in, and as whom."""

from s3sftp.auth.asking import Answer, Asking
from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions, UserOptions, user_name_problem
from s3sftp.auth.passwords import hash_password
from s3sftp.auth.sources import plain
from s3sftp.auth.static import StaticUser, StaticUsers
from s3sftp.auth.throttle import Bans, source_of
from s3sftp.auth.users import ConfiguredUsers, UserKeys, read_keys, tell_what_is_wrong

__all__ = [
    "Answer",
    "Asking",
    "AuthOptions",
    "Authenticator",
    "Bans",
    "ConfiguredUsers",
    "Identity",
    "StaticUser",
    "StaticUsers",
    "UserKeys",
    "UserOptions",
    "hash_password",
    "plain",
    "read_keys",
    "source_of",
    "tell_what_is_wrong",
    "user_name_problem",
]
