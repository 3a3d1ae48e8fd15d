"""What the admin API shows of options and costs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3sftp.admin.api_models import UserCost
from s3sftp.admin.api_routes import ROUTES
from s3sftp.app.admin_api import AdminApi
from s3sftp.app.options import ServerOptions
from s3sftp.app.options_view import options_view
from s3sftp.app.user_costs import costs_of_day
from s3sftp.config.addresses import without_url_secrets
from s3sftp.fs.transfer_book import MAX_USERS, OTHER_USERS

SECRET = "do-not-tell-anybody"
NOW = 10 * 86400 + 5.0


def test_the_options_in_force_are_shown_without_secrets() -> None:
    options = ServerOptions.model_validate(
        {
            "backend_options": {"anything": SECRET},
            "s3": {
                "bucket": "files",
                "access_key_id": SECRET,
                "secret_access_key": SECRET,
                "session_token": SECRET,
                "endpoint_url": f"https://user:{SECRET}@store.example.com",
            },
            "admin": {"port": 1, "token_file": "/etc/tokens"},
        }
    )
    view = options_view(options)
    assert SECRET not in json.dumps(view)
    assert (view["s3"]["bucket"], view["s3"]["secret_access_key"]) == ("files", "***")
    assert view["admin"]["token_file"] == "/etc/tokens"
    assert view["server"]["drain_timeout"] == 30.0


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://user:pw@store.test:9000/a", "https://***@store.test:9000/a"),
        ("https://user:p/w@store.test", "https://***@store.test"),
        ("https://user:p@w@store.test", "https://***@store.test"),
        ("https://user:p?w#@store.test/?x=1", "https://***@store.test/?***"),
        ("https://hook.test/login?code=pw&b=c", "https://hook.test/login?***"),
        ("https://hook.test/login#pw", "https://hook.test/login#***"),
        ("bucket b at http://u:pw@one.test: no answer", "bucket b at http://***@one.test: no answer"),
        ("http://u:pw@one.test http://u:pw@two.test", "http://***@one.test http://***@two.test"),
        ("https://store.test/a?", "https://store.test/a?"),
        ("ops@example.com? yes", "ops@example.com? yes"),
    ],
)
def test_urls_are_shown_without_secrets(written: str, shown: str) -> None:
    assert without_url_secrets(written) == shown


def test_the_options_of_hooks_and_webhooks_are_shown_without_secrets() -> None:
    sink = {"type": "webhook", "url": f"https://sink.test/?key={SECRET}"}
    options = ServerOptions.model_validate(
        {
            "backend": "memory",
            "hook": {"url": f"https://hook.test/?code={SECRET}"},
            "events": {"sinks": {"mine": sink}},
        }
    )
    assert SECRET not in json.dumps(options_view(options))


def test_every_call_of_the_table_is_done_by_a_method_of_its_name() -> None:
    missing = [
        route.call for route in ROUTES if route.answer is not None and not hasattr(AdminApi, f"_{route.call}")
    ]
    assert missing == []


def day(users: dict[str, int], number: int = 10) -> dict[str, Any]:
    rest = {"s3_requests": 1, "bytes_in": 1, "bytes_out": 2, "files_in": 1, "files_out": 0}
    return {
        "day": number,
        "users": [{"user": user, "s3_dollars": dollars, **rest} for user, dollars in users.items()],
    }


def test_costs_of_processes_are_added_the_most_expensive_first() -> None:
    said = costs_of_day([day({"a": 1, "b": 5}), day({"a": 9})], [3], NOW)
    assert [(each.user, each.s3_dollars, each.bytes_out) for each in said.items] == [
        ("a", 10, 4),
        ("b", 5, 2),
    ]
    assert (said.day, said.not_answered) == ("1970-01-11", [3])


def test_a_process_that_still_has_yesterday_adds_nothing() -> None:
    assert costs_of_day([day({"a": 1}, 9)], [], NOW).items == []


def test_users_beyond_the_bound_are_one_entry_at_the_end() -> None:
    users = {f"user{number}": number for number in range(MAX_USERS + 3)}
    items = costs_of_day([day(users), day({OTHER_USERS: 100_000})], [], NOW).items
    assert len(items) == MAX_USERS + 1
    last: UserCost = items[-1]
    assert (last.user, last.s3_dollars, last.files_in) == (OTHER_USERS, 100_003, 4)
