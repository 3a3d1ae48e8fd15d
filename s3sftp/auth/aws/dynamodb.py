"""Looks users up in a table of DynamoDB: one GetItem each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from s3sftp.auth.aws.client import AwsClient, AwsRequest, content_type_of
from s3sftp.auth.aws.options import DynamoDbOptions
from s3sftp.auth.sources.transfer_family import AnswerProblem

_GET_ITEM = AwsRequest(
    "get_item",
    "dynamodb:GetItem",
    # an answer without an item is empty, so nothing else shows whose it is
    lambda answer: content_type_of(answer).startswith("application/x-amz-json"),
    # no such table, another key, and a denial concern all users: requests differ by the user's name alone
    for_everybody=("ResourceNotFoundException", "ValidationException", "AccessDeniedException"),
)


class UsersTable:
    """The users of one table."""

    service = "dynamodb"

    def __init__(self, options: DynamoDbOptions, count: Callable[[str], None]) -> None:
        self._options = options
        self._client = AwsClient("dynamodb", "dynamodb", options, count)

    @property
    def place(self) -> str:
        """Where the users are, for logs."""
        return f"table {self._options.users_table} at {self._client.address}"

    async def start(self) -> None:
        """As `AwsClient.start`."""
        await self._client.start()

    async def close(self) -> None:
        """As `AwsClient.close`."""
        await self._client.close()

    async def record(self, user: str) -> Mapping[str, Any] | None:
        """The attributes of the user's item without its key; None: there is no such item.

        Raises SourceFailed: if the service gives no answer.
        Raises AnswerProblem: if an attribute is of a type that has no meaning here.
        """
        key = self._options.key_attribute
        answer = await self._client.ask(
            _GET_ITEM,
            TableName=self._options.users_table,
            Key={key: {"S": user}},
            ConsistentRead=True,  # a user who was blocked must not get in by an old copy
        )
        item = (answer or {}).get("Item")
        if not item:
            return None
        return {name: plain_value(value, name) for name, value in item.items() if name != key}


def plain_value(value: Mapping[str, Any], name: str) -> Any:
    """The value of an attribute as JSON would have it. `name` is the attribute's, for texts.

    Raises AnswerProblem: if its type has no meaning here.
    """
    ((kind, content),) = value.items()
    match kind:
        case "S" | "BOOL":
            return content
        case "N":
            return _number(content)
        case "NULL":
            return None
        case "M":
            return {key: plain_value(each, f"{name}.{key}") for key, each in content.items()}
        case "L":
            return [plain_value(each, name) for each in content]
        case "SS":
            return sorted(content)
        case "NS":
            return sorted(map(_number, content))
    raise AnswerProblem(f"{name[:200]}: is binary (type {kind}), and should be a string")


def _number(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)
