"""The promises of `s3sftp.backends.contract` as tests: one class for each group."""

from s3sftp.testing.promises.commits import CommitPromises
from s3sftp.testing.promises.copying import CopyPromises
from s3sftp.testing.promises.directories import DirectoryPromises
from s3sftp.testing.promises.kept_ranges import KeptRangePromises
from s3sftp.testing.promises.lookups import LookupPromises
from s3sftp.testing.promises.names import NamePromises
from s3sftp.testing.promises.ordering import OrderingPromises
from s3sftp.testing.promises.outside_changes import OutsideChangePromises
from s3sftp.testing.promises.reading import ReadPromises
from s3sftp.testing.promises.renaming import RenamePromises
from s3sftp.testing.promises.result_types import ResultTypePromises
from s3sftp.testing.promises.sequences import SequencePromises
from s3sftp.testing.promises.sessions import SessionPromises
from s3sftp.testing.promises.writing import WritePromises


class BackendPromises(
    LookupPromises,
    DirectoryPromises,
    RenamePromises,
    CopyPromises,
    ReadPromises,
    WritePromises,
    CommitPromises,
    KeptRangePromises,
    OrderingPromises,
    NamePromises,
    ResultTypePromises,
    SessionPromises,
    OutsideChangePromises,
    SequencePromises,
):
    """All promises. Inherit it in a class whose name begins with `Test`, and define how to open the
    storage."""


__all__ = [
    "BackendPromises",
    "CommitPromises",
    "CopyPromises",
    "DirectoryPromises",
    "KeptRangePromises",
    "LookupPromises",
    "NamePromises",
    "OrderingPromises",
    "OutsideChangePromises",
    "ReadPromises",
    "RenamePromises",
    "ResultTypePromises",
    "SequencePromises",
    "SessionPromises",
    "WritePromises",
]
