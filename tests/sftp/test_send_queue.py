"""Answers go to the channel as lines that others may follow, or as the last."""

from __future__ import annotations

from typing import cast

import asyncssh

from s3sftp.sftp.send_queue import SendQueue

LONG = bytes(16 * 1024)
"""An answer that is sent by itself."""


class Channel:
    """A channel of asyncssh, which takes all."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def get_write_buffer_size(self) -> int:
        return 0

    def writelines(self, pieces: list[bytes]) -> None:
        self.sent.append(("lines", b"".join(pieces)))


class TellingChannel(Channel):
    """One that is told what is the last."""

    def write_last(self, pieces: list[bytes]) -> None:
        self.sent.append(("last", b"".join(pieces)))


def answered(channel: Channel) -> list[tuple[str, bytes]]:
    """What the channel gets of answers that others follow, of a lone one, and of two at once."""
    queue = SendQueue(lambda: None)
    queue.open(cast("asyncssh.SSHServerChannel[bytes]", channel))
    queue.put(b"1")
    queue.flush()
    queue.put(b"2")
    queue.flush(more_follow=False)
    queue.put(LONG)
    queue.put(b"3")
    queue.flush(more_follow=False)
    return channel.sent


def test_only_what_no_answer_follows_is_the_last() -> None:
    assert answered(TellingChannel()) == [("lines", b"1"), ("last", b"2"), ("lines", LONG), ("last", b"3")]


def test_a_channel_that_makes_no_difference_gets_all_answers() -> None:
    assert answered(Channel()) == [("lines", b"1"), ("lines", b"2"), ("lines", LONG), ("lines", b"3")]
