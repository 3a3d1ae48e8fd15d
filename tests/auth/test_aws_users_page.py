"""The examples of docs/aws-users.md mean what the page says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from s3sftp.auth.aws import DynamoDbOptions, SecretsManagerOptions
from s3sftp.auth.aws.dynamodb import plain_value
from s3sftp.auth.aws.records import RecordReader
from s3sftp.auth.sources.transfer_family import UserHomes

PAGE = Path(__file__).parents[2] / "docs" / "aws-users.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def test_the_options_of_the_page_are_valid() -> None:
    table, secrets = (tomllib.loads(text) for text in blocks("toml"))
    assert DynamoDbOptions(**table["dynamodb"]).users_table == "sftp-users"
    assert SecretsManagerOptions(**secrets["secrets_manager"]).role == "ignore"


def test_the_item_and_the_secrets_of_the_page_are_users_without_a_problem() -> None:
    item, own, aws, _policy = (json.loads(text) for text in blocks("json"))
    options = SecretsManagerOptions(prefix="aws/transfer/s-1/", role="ignore")
    reader = RecordReader(options, "secrets_manager", UserHomes("amzn-s3-demo-bucket"))
    attributes = {name: plain_value(value, name) for name, value in item.items() if name != "user"}
    records: list[dict[str, Any]] = [attributes, own, aws]
    for record in records:
        found = reader.user("acme", record)
        assert found.account is not None
        assert found.bad_keys == ()
        assert found.account.identity.prefix == "partners/acme/"
        assert found.account.can_log_in or found.password is not None


def test_the_policy_of_the_page_allows_what_the_server_asks_and_nothing_else() -> None:
    from s3sftp.auth.aws import dynamodb, secrets_manager

    policy = json.loads(blocks("json")[-1])
    actions = {action for each in policy["Statement"] for action in each["Action"]}
    assert actions == {dynamodb._GET_ITEM.permission, secrets_manager._GET_SECRET.permission}
