"""The table that replicas share, in moto."""

from __future__ import annotations

import uuid
from typing import Any

import boto3

from testbed.s3_store import Store
from tests.support.aws_users import REGION


class SharedTable:
    """A table with the keys that the page names, or others, or none: then it does not exist. Blocking calls
    are short: moto is on this machine."""

    def __init__(self, moto: Store, keys: tuple[tuple[str, str], ...] = (("pk", "S"), ("sk", "S"))) -> None:
        self.moto = moto
        self.name = f"shared-{uuid.uuid4().hex}"
        self._tables = boto3.resource(
            "dynamodb",
            endpoint_url=moto.endpoint_url,
            region_name=REGION,
            aws_access_key_id=moto.access_key,
            aws_secret_access_key=moto.secret_key,
        )
        if keys:
            self._tables.create_table(
                TableName=self.name,
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for (name, _), kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": of} for name, of in keys],
                BillingMode="PAY_PER_REQUEST",
            )

    def options(self, url: str = "", **more: Any) -> dict[str, Any]:
        """The options of a server. `url`: of something in front of moto."""
        return {
            "dynamodb_table": self.name,
            "region": REGION,
            "endpoint_url": url or self.moto.endpoint_url,
            "interval": "1 s",
            "retries": 0,
            "timeout": "15 s",
            **more,
        }

    def items(self, pk: str) -> list[dict[str, Any]]:
        """All items with a partition key."""
        return [item for item in self._tables.Table(self.name).scan()["Items"] if item["pk"] == pk]

    def put(self, **item: Any) -> None:
        """Write an item that no server has written."""
        self._tables.Table(self.name).put_item(Item=item)
