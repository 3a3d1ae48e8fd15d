"""Any backend made complete: what it lacks is done with what it has.

    has no …           instead
    read_file_range    `copies`: read_file once, kept for a few seconds, in memory or in a spool file
    begin_write …      `spooled`: chunks are held, in memory or in a spool file, until write_file
    keep_range         `streamed`: the bytes are read, and written in chunks among the others
    copy               read and written
    set_mtime, usage   what `CompleteBackend` says: "cannot", "unknown"

On the way `guarded` turns OSErrors into the tree of errors, and refuses answers that have the wrong type.
"""

from s3sftp.backends.complete.backend import CompletedBackend, complete

__all__ = ["CompletedBackend", "complete"]
