"""The table that replicas share: items by a partition key and a sort key.

    pk        sk                        what it is                       module
    bans      offences#203.0.113.7      a ban, or that it was lifted     ban_records.py
    scores    203.0.113.7#2940425       points of a source in a window   shared_scores.py
    codes     digest of a secret        the latest code that was used    shared_codes.py
    quotas    digest of a place         what is stored, what set aside   quota_records.py
    check     replica                   written when a server starts

Every item has `expires`, after which DynamoDB may remove it. All writes are UpdateItem.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from s3sftp.auth.aws.client import AwsClient, AwsRequest, content_type_of
from s3sftp.auth.aws.dynamodb import plain_value
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.auth.sources.transfer_family import AnswerProblem
from s3sftp.errors import ConfigurationError
from s3sftp.shared_state.options import SharedStateOptions

Item = Mapping[str, Any]
"""The attributes of an item, as JSON would have them."""
Sets = Mapping[str, str | float | bool]
"""New values of attributes."""
_KEYS = "a partition key `pk` and a sort key `sk`, both strings"
_WRONG = {
    "ResourceNotFoundException": f"there is no such table: create one in this region with {_KEYS}",
    "ValidationException": f"the table should have {_KEYS}",
}
"""Errors that no waiting cures, and what would be right."""
_MAX_PAGES = 100
_CHECK_SECONDS = 86400
"""How long the item of a check is kept."""


def _is_answer(answer: Mapping[str, Any]) -> bool:
    return content_type_of(answer).startswith("application/x-amz-json")


def _request(method: str, permission: str) -> AwsRequest:
    conditional = ("ConditionalCheckFailedException",)
    return AwsRequest(method, permission, _is_answer, absent=conditional)


_GET = _request("get_item", "dynamodb:GetItem")
_QUERY = _request("query", "dynamodb:Query")
_UPDATE = _request("update_item", "dynamodb:UpdateItem")
REQUESTS = (_GET, _QUERY, _UPDATE)


@dataclass(frozen=True, slots=True)
class Only:
    """A condition of a write, in DynamoDB's language: `#name` is an attribute, `:name` one of `values`."""

    condition: str
    values: Mapping[str, str | float]


class SharedTable:
    """The connections of one process to the table. Make it on the event loop that uses it."""

    def __init__(self, options: SharedStateOptions, count: Callable[[str], None]) -> None:
        """`count` is called with the result of each request."""
        self._name = options.dynamodb_table
        self._client = AwsClient("dynamodb", "shared_state", options, count, "dynamodb")

    @property
    def place(self) -> str:
        """Where the table is, for logs."""
        return f"table {self._name} at {self._client.address}"

    async def start(self) -> None:
        """Make the client. Sends nothing.

        Raises ConfigurationError: if the options cannot be used.
        """
        await self._client.start()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def check(self, replica: str) -> None:
        """Send each kind of request once, and write an item that says which replica did.

        Raises ConfigurationError: if the table does not exist, has other keys, or lacks a permission.
        Raises SourceFailed: if it does not answer now.
        """
        try:
            await self.get("check", replica)
            await self.query("check")
            await self.update("check", replica, {"expires": int(time.time()) + _CHECK_SECONDS})
        except SourceFailed as failed:
            if (wrong := _WRONG.get(failed.code)) is not None or failed.result == "denied":
                problem = wrong or str(failed)
                raise ConfigurationError(
                    [f"shared_state.dynamodb_table = {self._name!r}: {problem}"]
                ) from None
            raise

    async def get(self, pk: str, sk: str) -> Item | None:
        """The present state of an item.

        Raises SourceFailed: if there is no usable answer.
        """
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        answer = await self._client.ask(_GET, TableName=self._name, Key=key, ConsistentRead=True)
        found = (answer or {}).get("Item")
        return _plain(found) if found else None

    async def query(self, pk: str, since: int | None = None) -> list[Item]:
        """The present state of all items with a partition key, or of those whose attribute `changed` is at
        least `since`.

        Raises SourceFailed: if there is no usable answer.
        """
        asked: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": "#pk = :pk",
            "ExpressionAttributeNames": {"#pk": "pk"},
            "ExpressionAttributeValues": {":pk": {"S": pk}},
            "ConsistentRead": True,
        }
        if since is not None:
            asked["FilterExpression"] = "#changed >= :since"
            asked["ExpressionAttributeNames"]["#changed"] = "changed"
            asked["ExpressionAttributeValues"][":since"] = {"N": str(since)}
        items: list[Item] = []
        for _ in range(_MAX_PAGES):
            answer = await self._client.ask(_QUERY, **asked) or {}
            items += map(_plain, answer.get("Items", ()))
            if not (last := answer.get("LastEvaluatedKey")):
                break
            asked["ExclusiveStartKey"] = last
        return items

    async def update(
        self,
        pk: str,
        sk: str,
        sets: Sets,
        adds: Mapping[str, float] | None = None,
        only: Only | None = None,
    ) -> Item | None:
        """Set attributes of an item, and add to others, in one step; makes the item if there is none. Returns
        its new state, or None if `only` does not hold, and nothing was changed.

        A request that is repeated because its answer was lost adds twice, unless `only` prevents that.

        Raises SourceFailed: if there is no usable answer; it may have been done.
        """
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets) if sets else ""
        if adds:
            expression += " ADD " + ", ".join(f"#{name} :{name}" for name in adds)
        values = {**sets, **(adds or {}), **(only.values if only else {})}
        condition = only.condition if only else ""
        names = set(re.findall(r"#(\w+)", f"{expression} {condition}"))
        asked: dict[str, Any] = {
            "TableName": self._name,
            "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
            "UpdateExpression": expression.strip(),
            "ExpressionAttributeNames": {f"#{name}": name for name in sorted(names)},
            "ExpressionAttributeValues": {f":{name}": _typed(value) for name, value in values.items()},
            "ReturnValues": "ALL_NEW",
        }
        if condition:
            asked["ConditionExpression"] = condition
        answer = await self._client.ask(_UPDATE, **asked)
        return None if answer is None else _plain(answer.get("Attributes", {}))


def _typed(value: str | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _plain(item: Mapping[str, Any]) -> Item:
    plain = {}
    for name, value in item.items():
        try:
            plain[name] = plain_value(value, name)
        except AnswerProblem:  # binary, which nothing here has written
            continue
    return plain
