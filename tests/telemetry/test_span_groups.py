"""Which groups of spans are kept while no sampler is chosen. Times are given, so nothing waits."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import pytest
from opentelemetry.trace import SpanKind

from s3sftp.telemetry.span_groups import SAVED_SECONDS, SpanGroup, SpanGroups

SECOND = 10**9
SLOW = SECOND
NOW = 1_000 * SECOND


@dataclass(slots=True)
class Ended:
    """A span that has ended."""

    span_id: int
    group: SpanGroup[Ended] | None
    end_time: int | None
    is_failure: bool = False
    parent: Ended | None = None


class Deciding:
    """Groups that begin at NOW, and what was kept of them."""

    def __init__(self, share: int = 0) -> None:
        self.kept: list[int] = []
        self.groups: SpanGroups[Ended] = SpanGroups(lambda span: self.kept.append(span.span_id), SLOW, share)

    def group(
        self,
        root_id: int = 1,
        name: str = "sftp.CLOSE",
        kind: SpanKind = SpanKind.SERVER,
        *,
        is_root: bool = False,
    ) -> SpanGroup[Ended]:
        group = self.groups.begun_by(name, kind, root_id, NOW, is_root=is_root)
        assert group is not None
        return group

    def end(
        self,
        span_id: int,
        group: SpanGroup[Ended] | None,
        after: int = 1,
        *,
        is_failure: bool = False,
        parent: Ended | None = None,
    ) -> Ended:
        ended = Ended(span_id, group, NOW + after, is_failure, parent)
        self.groups.ended(ended)
        return ended


def test_an_ordinary_operation_is_dropped_with_its_requests() -> None:
    deciding = Deciding()
    group = deciding.group()
    deciding.end(2, group)
    deciding.end(1, group)
    deciding.end(3, group)  # a request that it had left running
    assert deciding.kept == []


def test_an_operation_whose_request_fails_is_kept_whole() -> None:
    deciding = Deciding()
    group = deciding.group()
    deciding.end(2, group)
    deciding.end(3, group, is_failure=True)
    deciding.end(4, group)
    deciding.end(1, group)
    assert deciding.kept == [2, 3, 4, 1]


def test_an_operation_that_fails_is_kept_with_its_requests() -> None:
    deciding = Deciding()
    group = deciding.group()
    deciding.end(2, group)
    deciding.end(1, group, is_failure=True)
    assert deciding.kept == [2, 1]


def test_a_slow_operation_is_kept_and_one_that_is_just_not_is_dropped() -> None:
    deciding = Deciding()
    for root_id, after in ((1, SLOW), (2, SLOW - 1)):
        deciding.end(root_id, deciding.group(root_id), after)
    assert deciding.kept == [1]


def test_a_large_transfer_is_kept_from_the_time_on_when_it_is_slow_and_does_not_wait_for_its_end() -> None:
    deciding = Deciding()
    group = deciding.group(name="sftp.upload", kind=SpanKind.INTERNAL)
    deciding.end(2, group)
    assert deciding.kept == []
    deciding.end(3, group, SLOW)
    assert deciding.kept == [2, 3]
    deciding.end(4, group, 2 * SLOW)
    assert deciding.kept == [2, 3, 4]


def test_an_operation_with_many_requests_is_kept_by_the_share_and_what_waits_is_bounded() -> None:
    deciding = Deciding(share=1)
    group = deciding.group()
    for span_id in range(2, 200):
        deciding.end(span_id, group)
        assert len(group.waiting) < 64
    deciding.end(1, group)
    assert sorted(deciding.kept) == list(range(1, 200))


def test_ordinary_operations_are_kept_while_the_share_lasts_and_whole() -> None:
    share = 2
    saved = share * SAVED_SECONDS
    deciding = Deciding(share)
    for root_id in range(1, saved * 2, 3):  # three spans each
        group = deciding.group(root_id)
        deciding.end(root_id + 1, group)
        deciding.end(root_id + 2, group)
        deciding.end(root_id, group)
    assert len(deciding.kept) == -(-saved // 3) * 3


@pytest.mark.parametrize("seconds", [2, 100])
def test_the_share_grows_with_time_and_is_saved_for_a_while(seconds: int) -> None:
    deciding = Deciding(share=1)

    def single(root_id: int, after: int) -> None:
        group = deciding.group(root_id)
        group.began += after
        deciding.end(root_id, group, after)

    for root_id in range(100):
        single(root_id, 0)
    assert len(deciding.kept) == SAVED_SECONDS
    deciding.kept.clear()
    for root_id in range(100):
        single(root_id, seconds * SECOND)
    assert len(deciding.kept) == min(seconds, SAVED_SECONDS)


@pytest.mark.parametrize("share", [0, 1_000])
def test_a_request_that_no_client_has_caused_is_kept_only_if_it_fails_or_is_slow(share: int) -> None:
    deciding = Deciding(share)
    for root_id, after, is_failure in ((1, 1, False), (2, 1, True), (3, SLOW, False)):
        group = deciding.group(root_id, "S3.HeadBucket", SpanKind.CLIENT, is_root=True)
        deciding.end(root_id, group, after, is_failure=is_failure)
    assert deciding.kept == [2, 3]


@pytest.mark.parametrize(
    ("name", "kind", "is_root"),
    [
        ("ssh.connection", SpanKind.INTERNAL, True),
        ("ssh.userauth", SpanKind.INTERNAL, False),
        ("POST", SpanKind.CLIENT, False),
        ("sftp.session", SpanKind.INTERNAL, False),
    ],
)
def test_connections_logins_and_sessions_are_in_no_group_and_always_kept(
    name: str, kind: SpanKind, is_root: bool
) -> None:
    deciding = Deciding()
    assert deciding.groups.begun_by(name, kind, 1, NOW, is_root=is_root) is None
    deciding.end(1, None)
    assert deciding.kept == [1]


def test_operations_with_many_requests_take_from_the_share_too() -> None:
    share = 2
    deciding = Deciding(share)
    for first in range(1, 10_000, 100):
        group = deciding.group(first)
        for span_id in range(first + 1, first + 100):
            deciding.end(span_id, group)
        deciding.end(first, group)
    assert len(deciding.kept) == 100


def test_an_operation_with_many_requests_is_kept_from_the_time_on_when_one_fails() -> None:
    deciding = Deciding()
    group = deciding.group()
    for span_id in range(2, 100):
        deciding.end(span_id, group)
    deciding.end(100, group, is_failure=True)
    deciding.end(1, group)
    assert deciding.kept == [100, 1]


def test_what_fails_after_its_operation_was_dropped_is_kept_with_the_operation() -> None:
    deciding = Deciding()
    group = deciding.group()
    operation = deciding.end(1, group)
    deciding.end(2, group, parent=operation)
    request = deciding.end(3, group, is_failure=True, parent=operation)
    deciding.end(4, group, is_failure=True, parent=request)
    assert deciding.kept == [1, 3, 4]


def test_what_fails_far_below_an_operation_that_was_dropped_is_kept_with_the_operation() -> None:
    deciding = Deciding()
    group = deciding.group()
    session = Ended(7, None, None)
    operation = Ended(1, group, NOW + 1, parent=session)
    deciding.groups.ended(operation)
    between = deciding.end(2, group, parent=operation)
    deciding.end(3, group, is_failure=True, parent=between)
    assert deciding.kept == [1, 3]


def test_an_operation_that_is_still_open_is_kept_once_when_it_ends() -> None:
    deciding = Deciding()
    group = deciding.group()
    operation = Ended(1, group, None)
    for span_id in range(2, 100):  # so many that they were dropped
        deciding.end(span_id, group, parent=operation)
    deciding.end(100, group, is_failure=True, parent=operation)
    operation.end_time = NOW + 2
    deciding.groups.ended(operation)
    assert deciding.kept == [100, 1]


def test_an_operation_that_was_dropped_is_forgotten_when_nothing_of_it_runs() -> None:
    deciding = Deciding()
    group = deciding.group()
    operation = deciding.end(1, group)
    deciding.end(2, group, parent=operation)
    assert not group.waiting
    assert not any(isinstance(held, Ended) for held in gc.get_referents(group))
