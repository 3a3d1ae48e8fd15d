"""Queues, topics and buses in moto, and what arrives at them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3

from testbed.s3_store import Store

REGION = "eu-central-1"


class AwsServices:
    """Each destination has a queue behind it, whose messages `received` returns."""

    def __init__(self, moto: Store) -> None:
        self._moto = moto
        self._sqs = self._client("sqs")

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self._moto.endpoint_url,
            aws_access_key_id=self._moto.access_key,
            aws_secret_access_key=self._moto.secret_key,
        )

    def queue(self, *, fifo: bool = False) -> str:
        """The URL of a new queue."""
        suffix, attributes = (".fifo", {"FifoQueue": "true"}) if fifo else ("", {})
        made = self._sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}{suffix}", Attributes=attributes)
        return str(made["QueueUrl"])

    def topic(self, *, fifo: bool = False) -> tuple[str, str]:
        """The ARN of a new topic, and the URL of the queue that has its messages."""
        sns, queue = self._client("sns"), self.queue(fifo=fifo)
        suffix, attributes = (".fifo", {"FifoTopic": "true"}) if fifo else ("", {})
        made = sns.create_topic(Name=f"t-{uuid.uuid4().hex}{suffix}", Attributes=attributes)
        sns.subscribe(TopicArn=made["TopicArn"], Protocol="sqs", Endpoint=self._arn(queue))
        return str(made["TopicArn"]), queue

    def filter_users(self, topic: str, user: str) -> None:
        """Let the subscription have the events of one user only."""
        sns = self._client("sns")
        [subscription] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        sns.set_subscription_attributes(
            SubscriptionArn=subscription["SubscriptionArn"],
            AttributeName="FilterPolicy",
            AttributeValue=json.dumps({"user": [user]}),
        )

    def bus(self, pattern: dict[str, Any]) -> tuple[str, str]:
        """The name of a new bus, and the URL of the queue that has the events which fit a pattern."""
        events, queue, name = self._client("events"), self.queue(), f"b-{uuid.uuid4().hex}"
        events.create_event_bus(Name=name)
        events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "1", "Arn": self._arn(queue)}])
        return name, queue

    def _arn(self, queue: str) -> str:
        found = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    def received(self, queue: str) -> list[dict[str, Any]]:
        """All messages of a queue, each with `Body`, `Attributes` and `MessageAttributes`."""
        found: list[dict[str, Any]] = []
        while messages := self._sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            found += messages
            for message in messages:
                self._sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found
