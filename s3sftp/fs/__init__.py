"""The user's file system: paths, mounts and rights, open files, read-ahead and uploads."""

from s3sftp.fs.access_rules import AccessRules, OnConflict
from s3sftp.fs.attributes import NewAttributes
from s3sftp.fs.filesystem import FileSystem
from s3sftp.fs.hashing import ALGORITHMS, HashRequest
from s3sftp.fs.listing import OpenDirectory
from s3sftp.fs.mounts import Mount, Mounts, tree_problems
from s3sftp.fs.open_reader import OpenReader
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.options import FileOptions
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.quota import NO_QUOTA, Quota, QuotaCounters, SharedQuotaCounts
from s3sftp.fs.read.reader import AwaitedRange
from s3sftp.fs.rights import PRESETS, Right, rights_of
from s3sftp.fs.transfer_book import TransferBook
from s3sftp.fs.transfer_record import FailureReason
from s3sftp.fs.write.shared_tables import UserCounts
from s3sftp.fs.write.upload_pipeline import WriteMode

__all__ = [
    "ALGORITHMS",
    "NO_QUOTA",
    "PRESETS",
    "AccessRules",
    "AwaitedRange",
    "FailureReason",
    "FileOptions",
    "FileSystem",
    "HashRequest",
    "Mount",
    "Mounts",
    "NewAttributes",
    "OnConflict",
    "OpenDirectory",
    "OpenReader",
    "OpenStorage",
    "OpenWriter",
    "Quota",
    "QuotaCounters",
    "Right",
    "SharedQuotaCounts",
    "TransferBook",
    "UserCounts",
    "VirtualPath",
    "WriteMode",
    "rights_of",
    "tree_problems",
]
