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


def test_the_policies_of_the_page_allow_what_the_server_asks_and_nothing_else() -> None:
    asked = {request.permission for request in REQUESTS}
    (statement,) = json.loads(block("json"))["Statement"]
    assert set(statement["Action"]) == asked
    (of_terraform,) = re.findall(r"Action *= (\[.*\])", block("hcl"))
    assert set(json.loads(of_terraform)) == asked


def test_the_table_of_the_page_has_the_keys_that_the_server_uses() -> None:
    assert dict(re.findall(r'(hash_key|range_key|attribute_name) *= "(\w+)"', block("hcl"))) == {
        "hash_key": "pk",
        "range_key": "sk",
        "attribute_name": "expires",
    }
