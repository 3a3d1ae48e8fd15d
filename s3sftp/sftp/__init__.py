"""SFTP version 3: codec, session, handles, attributes, status table."""

from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.session import SftpSession

__all__ = ["SftpOptions", "SftpSession"]
