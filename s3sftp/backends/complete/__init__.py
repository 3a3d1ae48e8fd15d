"""Completes any backend: the operations that it lacks are built from those that it has.

    lacks              replacement
    read_file_range    `whole_file_cache`: one read_file, kept for a few seconds in memory or in a spool file
    begin_write …      `spooled_uploads`: chunks are held in memory or in a spool file until write_file
    keep_range         `streamed_uploads`: the bytes are read, and written in chunks among the others
    copy               read and written
    set_mtime, usage   the defaults of `CompleteBackend`: "cannot", "unknown"

`guard` translates the OSErrors of every call into the tree of errors, and rejects answers of the wrong type.
"""

from s3sftp.backends.complete.backend import CompletedBackend, complete

__all__ = ["CompletedBackend", "complete"]
