"""The examples of docs/shared-state.md mean what the page says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from s3sftp.shared_state import SharedStateOptions
from s3sftp.shared_state.table import REQUESTS

PAGE = Path(__file__).parents[2] / "docs" / "shared-state.md"


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return str(text)


def test_the_options_of_the_page_are_valid() -> None:
    options = SharedStateOptions(**tomllib.loads(block("toml"))["shared_state"])
    assert options.dynamodb_table == "sftp-shared"
    assert options.interval.total_seconds() == 5  # what the costs are computed for


def test_the_policy_of_the_page_allows_what_the_server_asks_and_nothing_else() -> None:
    (statement,) = json.loads(block("json"))["Statement"]
    assert set(statement["Action"]) == {request.permission for request in REQUESTS}
