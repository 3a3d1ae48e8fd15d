"""Where the lines of the audit log go: a file, standard output, or a collector of OpenTelemetry."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.appended_file import require_appendable
from s3sftp.telemetry.audit_chain import Position
from s3sftp.telemetry.audit_chain_file import FileChain, open_state, read_key, state_file
from s3sftp.telemetry.audit_file import AuditFile
from s3sftp.telemetry.audit_otlp import AuditExport, exporting, require_exporter
from s3sftp.telemetry.audit_queue import Failed, LineWriter, Recovered
from s3sftp.telemetry.logs import get_logger
from s3sftp.telemetry.options import AuditOptions
from s3sftp.telemetry.stderr_writer import StderrWriter

_log = get_logger("s3sftp.telemetry")
_STDOUT_BYTES = 8 << 20
_KEY_OPTION = "audit.chain_key_file"
_TELL_SECONDS = 60.0
"""How often the log says that the lines still cannot be written."""

Put = Callable[[bytes], None]
"""Takes a line with its line feed, and neither waits nor raises."""
Lost = Callable[[int], None]
"""Called with the number of lines that were lost, when lines are written again."""


def require_audit(options: AuditOptions) -> None:
    """Make sure that the audit log can be written, before anything else starts. Blocks.

    Raises ConfigurationError: if it cannot.
    """
    if (file := options.file) is not None:
        require_appendable(file, "audit.output")
        if options.chain:
            _require_chain(file)
        if options.chain_key_file is not None:
            read_key(options.chain_key_file, _KEY_OPTION)
    if options.output == "otlp":
        require_exporter(os.environ)


def _require_chain(file: Path) -> None:
    """Make sure that the file beside the log can be written. Raises ConfigurationError: if it cannot."""
    try:
        os.close(open_state(state_file(file)))
    except OSError as error:
        beside = str(state_file(file))
        raise ConfigurationError(
            [f"audit.chain = true: cannot write {beside!r}: {error.strerror or error}"]
        ) from None


def open_output(options: AuditOptions, lost: Lost, *, is_first: bool) -> Put:
    """Open the output of this process. Starts a thread. `is_first`: this process, and no worker, logs what is
    doubtful.

    Raises ConfigurationError: if it cannot be opened.
    """
    if (file := options.file) is not None:
        chain = _chain_of(file, options, is_first=is_first)
        return _made(
            lambda failed, recovered: AuditFile(file, failed, recovered, chain=chain), str(file), lost
        )
    if options.output == "otlp":
        export = exporting(os.environ)
        return _made(lambda failed, recovered: AuditExport(export, failed, recovered), "otlp", lost)
    return _to_stdout(lost)


def _to_stdout(lost: Lost) -> Put:
    def dropped(lines: int) -> None:
        _log.error("audit.lines_lost", lines=lines, detail="nobody read standard output, or not fast enough")
        lost(lines)

    writer = StderrWriter(sys.stdout.fileno(), dropped, _STDOUT_BYTES)
    writer.start()
    writer.finish_at_exit()
    return writer.put


def _warn_if_exposed(key_file: Path) -> None:
    mode = stat.S_IMODE(key_file.stat().st_mode)
    if mode & 0o007:
        _log.warning(
            "audit.key_exposed",
            file=str(key_file),
            mode=f"{mode:04o}",
            advice=f"whoever reads the key can forge lines: chmod o= {key_file}, and make another key",
        )


def _chain_of(file: Path, options: AuditOptions, *, is_first: bool) -> FileChain | None:
    if not options.chain:
        return None
    key = None
    if options.chain_key_file is not None:
        key = read_key(options.chain_key_file, _KEY_OPTION)
        if is_first:
            _warn_if_exposed(options.chain_key_file)

    def anchored(last: Position) -> None:
        _log.info("audit.anchored", file=str(file), chain=last.chain, sequence=last.sequence, hash=last.hash)

    def broken(problem: str) -> None:
        _log.error(
            "audit.chain_broken",
            file=str(file),
            problem=problem,
            advice="somebody else has changed the log: keep a copy, and see `s3sftp audit verify`",
        )

    return FileChain(file, key, anchored, options.anchor_interval.total_seconds(), broken)


def _made(make: Callable[[Failed, Recovered], LineWriter], where: str, lost: Lost) -> Put:
    """Start a writer that logs its failures. `where` it writes to, for the log."""
    told_at: list[float] = []

    def failed(error: OSError) -> None:
        now = time.monotonic()
        if not told_at or now - told_at[-1] >= _TELL_SECONDS:
            told_at.append(now)
            _log.error(
                "audit.failed",
                file=where,
                error=error.strerror or str(error),
                advice="clients are served meanwhile; lines are kept in memory until there are too many",
            )

    def recovered(lines: int) -> None:
        told_at.clear()
        _log.warning("audit.recovered", file=where, lines_lost=lines)
        if lines:
            lost(lines)

    writer = make(failed, recovered)
    writer.start()
    return writer.put
