"""SFTP version 3: packet codec, sessions, handles, attributes, and the table from errors to status codes."""

from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.pace import Rates, UserPace, UserPaces
from s3sftp.sftp.session import SftpSession
from s3sftp.sftp.session_activity import SessionActivity
from s3sftp.sftp.user_handles import HandlesOfUsers, UserHandles

__all__ = [
    "HandlesOfUsers",
    "Rates",
    "SessionActivity",
    "SftpOptions",
    "SftpSession",
    "UserHandles",
    "UserPace",
    "UserPaces",
]
