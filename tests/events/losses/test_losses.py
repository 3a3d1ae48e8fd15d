"""No event is lost, false, or repeated more often than it may be, whatever fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.s3_store import Store
from tests.events.losses.__main__ import shown
from tests.events.losses.account import Account, account_of, table
from tests.events.losses.story import tell

pytestmark = pytest.mark.slow

FILES = {"/a": "1", "/b": "2"}


def event(path: str, etag: str, number: int = 0, certainty: str = "confirmed") -> dict[str, Any]:
    return {"id": f"{path}{number}", "subject": path, "data": {"etag": etag, "certainty": certainty}}


@pytest.mark.timeout(900)  # it starts servers eight times
async def test_of_many_uploads_no_event_is_lost_while_sinks_the_store_and_a_server_fail(
    store: Store, bucket: str, moto: Store, tmp_path: Path
) -> None:
    told = await tell(64, tmp_path, store, bucket, moto)
    assert told.is_right, shown(told)
    assert told.kills == 3
    assert told.failed_deliveries
    assert (told.stored, told.refused) == (58, 6)
    assert [each.sink for each in told.accounts] == ["hook", "queue", "topic", "bus"]
    assert all(each.events >= told.stored for each in told.accounts)


def test_one_event_for_each_file_is_right() -> None:
    account = account_of("hook", [event("/a", "1"), event("/b", "2")], FILES, 0)
    assert account == Account("hook", 2, [], [], 0, 0, 0)
    assert account.is_right


def test_a_file_without_an_event_of_its_content_is_lost() -> None:
    account = account_of("hook", [event("/a", "1"), event("/b", "of an older one")], FILES, 9)
    assert account.lost == ["/b"]
    assert not account.is_right


def test_an_event_without_a_file_is_false_unless_it_says_that_nobody_knows() -> None:
    told = [event("/a", "1"), event("/b", "2"), event("/c", "3", certainty="unknown")]
    account = account_of("hook", told, FILES, 0)
    assert (account.false, account.in_doubt, account.is_right) == ([], 1, True)
    account = account_of("hook", [*told, event("/d", "4")], FILES, 0)
    assert (account.false, account.is_right) == (["/d"], False)


def test_more_duplicates_than_there_may_be_are_wrong() -> None:
    told = [event("/a", "1"), event("/b", "2"), event("/b", "2"), event("/b", "2", number=1)]
    account = account_of("hook", told, FILES, 1)
    assert (account.events, account.duplicates, account.is_right) == (3, 1, True)
    assert not account_of("hook", told, FILES, 0).is_right


def test_the_table_has_a_line_for_each_sink() -> None:
    accounts = [account_of(name, [event("/a", "1")], FILES, 7) for name in ("hook", "queue")]
    assert table(accounts).splitlines()[2:] == [
        "| hook | 1 | 0 | 0 | 1 | 0 | 7 |",
        "| queue | 1 | 0 | 0 | 1 | 0 | 7 |",
    ]
