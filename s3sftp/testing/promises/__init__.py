"""What every backend promises, written once: see `s3sftp.backends.contract`. A class for each group."""

from s3sftp.testing.promises.copying import Copying
from s3sftp.testing.promises.directories import Directories
from s3sftp.testing.promises.disorder import Disorder
from s3sftp.testing.promises.keeping import Keeping
from s3sftp.testing.promises.looking import Looking
from s3sftp.testing.promises.meddling import Meddling
from s3sftp.testing.promises.names import Names
from s3sftp.testing.promises.publishing import Publishing
from s3sftp.testing.promises.reading import Reading
from s3sftp.testing.promises.renaming import Renaming
from s3sftp.testing.promises.sequences import Sequences
from s3sftp.testing.promises.sessions import Sessions
from s3sftp.testing.promises.shapes import Shapes
from s3sftp.testing.promises.writing import Writing


class BackendPromises(
    Looking,
    Directories,
    Renaming,
    Copying,
    Reading,
    Writing,
    Publishing,
    Keeping,
    Disorder,
    Names,
    Shapes,
    Sessions,
    Meddling,
    Sequences,
):
    """All of it. Inherit it in a class whose name begins with `Test`, and say how to open the storage."""


__all__ = [
    "BackendPromises",
    "Copying",
    "Directories",
    "Disorder",
    "Keeping",
    "Looking",
    "Meddling",
    "Names",
    "Publishing",
    "Reading",
    "Renaming",
    "Sequences",
    "Sessions",
    "Shapes",
    "Writing",
]
