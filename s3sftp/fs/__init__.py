"""What a user sees: paths, mounts and rights, open files, read-ahead, uploads."""

from s3sftp.fs.digests import ALGORITHMS, HashRequest
from s3sftp.fs.filesystem import FileSystem, NewAttributes
from s3sftp.fs.listing import Listing
from s3sftp.fs.mounts import Mount, Mounts, Need
from s3sftp.fs.openfiles import OpenReader, OpenWriter
from s3sftp.fs.options import FileOptions
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.reading import Expected
from s3sftp.fs.transfer import Ending
from s3sftp.fs.transit import WriteMode
from s3sftp.fs.volume import Volume

__all__ = [
    "ALGORITHMS",
    "Ending",
    "Expected",
    "FileOptions",
    "FileSystem",
    "HashRequest",
    "Listing",
    "Mount",
    "Mounts",
    "Need",
    "NewAttributes",
    "OpenReader",
    "OpenWriter",
    "VirtualPath",
    "Volume",
    "WriteMode",
]
