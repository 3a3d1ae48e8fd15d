"""Tests run with the logging that users have, and leave none of it to the tests after them."""

from __future__ import annotations

import logging

import pytest
import structlog

from s3sftp.backends import Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.sftp import request_log
from tests.sftp.session_server import serving
from tests.ssh.listener_harness import listener_harness
from tests.support.logs import LoggingState, capture_events, logging_restored


async def test_the_servers_of_the_tests_log_no_read_as_those_of_users_do_not() -> None:
    async with serving(MemoryBackend()) as server, server.client():
        assert [session._runner._logs_reads for session in server.sessions] == [False]
    async with (
        listener_harness() as harness,
        await harness.connect() as connection,
        connection.start_sftp_client(),
    ):
        assert [session._runner._logs_reads for session in harness.sessions] == [False]


@pytest.mark.parametrize(("level", "told"), [("info", False), ("debug", True)])
def test_what_is_logged_of_reads_depends_on_the_level_of_the_enclosing_block(level: str, told: bool) -> None:
    with capture_events(level), capture_events():  # type: ignore[arg-type]
        assert request_log.RequestLog(Session("alice")).logs_reads is told


def test_events_are_collected_from_the_level_on_with_their_tracebacks() -> None:
    with capture_events() as events:
        request_log._log.debug("too low")
        request_log._log.info("said", number=1)
        try:
            raise ValueError("inside")
        except ValueError:
            request_log._log.exception("failed")
    said, failed = events
    assert (said["event"], said["log_level"], said["number"]) == ("said", "info", 1)
    assert (failed["event"], failed["log_level"]) == ("failed", "error")
    assert "ValueError: inside" in failed["exception"]


def test_logging_is_put_back_whatever_was_done_to_it() -> None:
    before = LoggingState.now()
    with logging_restored(), capture_events():
        logging.getLogger("asyncssh").setLevel(logging.DEBUG)
        logging.getLogger("s3sftp.made.here").setLevel(logging.DEBUG)
        structlog.configure(cache_logger_on_first_use=True)
        request_log._log.info("its logger is kept")
    assert before.changes() == []
    with capture_events() as events:
        request_log._log.info("seen")
    assert [event["event"] for event in events] == ["seen"]
