"""Options of the `[events.sinks.NAME]` tables: one group for each type of sink."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from s3sftp.config import LocalPath, Options, PositiveDuration
from s3sftp.config.addresses import is_exposed
from s3sftp.config.aws_access import AwsAccessOptions
from s3sftp.config.name_patterns import path_pattern_problem
from s3sftp.events.cloud_event import EventKind

DEFAULT_KINDS = (
    EventKind.UPLOAD_COMMITTED,
    EventKind.UPLOAD_FAILED,
    EventKind.UPLOAD_ABORTED,
    EventKind.FILE_REMOVED,
    EventKind.FILE_RENAMED,
    EventKind.DIRECTORY_RENAMED,
    EventKind.FILE_MISSING,
)


class CommonSinkOptions(Options):
    """Which events a sink receives, and how long it may take."""

    kinds: list[EventKind] = Field(default=list(DEFAULT_KINDS), min_length=1)
    """The kinds of events that this sink receives. Default: those of uploads, removals, renames and missing
    files; not those of downloads and logins."""
    paths: list[str] = Field(default_factory=list)
    """Patterns of the paths whose events this sink receives: `*.csv` matches the end of a path, `/in/*` a
    whole path; `*` also stands for slashes. Upper and lower case are the same. Events without a path, those
    of logins, are not concerned. Default: all paths."""
    synchronous: bool = False
    """Whether this sink has to accept the event of an upload before the client's CLOSE is answered. The file
    is stored by then and stays, also if the sink does not accept and CLOSE fails."""
    time_limit: PositiveDuration = timedelta(seconds=10)
    """How long one attempt to deliver may take. Then it counts as failed, and is made again."""

    @field_validator("paths")
    @classmethod
    def _paths_are_patterns(cls, value: list[str]) -> list[str]:
        for pattern in value:
            if (problem := path_pattern_problem(pattern)) is not None:
                raise ValueError(problem)
        return value


class FileSinkOptions(CommonSinkOptions):
    """A file of this machine, to which each event is appended as a line of JSON."""

    type: Literal["file"]
    file: LocalPath
    """The file. Several processes of one machine may append to it. It may be renamed or removed at any time,
    as logrotate does without `copytruncate`. It is made for its owner alone if it is missing."""


class AwsSinkOptions(AwsAccessOptions, CommonSinkOptions):
    """How a service of AWS is reached."""


class SqsSinkOptions(AwsSinkOptions):
    """A queue of Amazon SQS."""

    type: Literal["sqs"]
    queue_url: str = Field(max_length=1000)
    """The URL of the queue. That of a FIFO queue ends in `.fifo`."""
    group_by: Literal["user", "path", "all"] = "user"
    """FIFO queues only: which events have one message group, and so keep their order: those of a user, those
    of a path, or all."""

    @field_validator("queue_url")
    @classmethod
    def _queue_is_a_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
            raise ValueError(
                "should be the URL of a queue, like"
                " 'https://sqs.eu-central-1.amazonaws.com/123456789012/files'"
            )
        if parts.username is not None or parts.password is not None or is_exposed(value):
            raise ValueError("should begin with https:// and have no user name and no password")
        return value

    @property
    def is_fifo(self) -> bool:
        return self.queue_url.endswith(".fifo")


class SnsSinkOptions(AwsSinkOptions):
    """A topic of Amazon SNS."""

    type: Literal["sns"]
    topic_arn: str
    """The ARN of the topic. That of a FIFO topic ends in `.fifo`."""
    group_by: Literal["user", "path", "all"] = "user"
    """FIFO topics only: which events have one message group, and so keep their order: those of a user, those
    of a path, or all."""

    @field_validator("topic_arn")
    @classmethod
    def _topic_is_an_arn(cls, value: str) -> str:
        example = "arn:aws:sns:eu-central-1:123456789012:files"
        return _matched(
            value, r"arn:[a-z0-9-]+:sns:[a-z0-9-]+:\d{12}:[\w.-]{1,256}", f"an ARN like '{example}'"
        )

    @property
    def is_fifo(self) -> bool:
        return self.topic_arn.endswith(".fifo")


class EventBridgeSinkOptions(AwsSinkOptions):
    """A bus of Amazon EventBridge."""

    type: Literal["eventbridge"]
    bus: str = "default"
    """Name or ARN of the event bus."""
    event_source: str = Field(default="s3sftp", pattern=r"^[/.\-_A-Za-z0-9]{1,256}$")
    """The `source` of the events on the bus, by which rules select them. It may not begin with `aws.`."""

    @field_validator("bus")
    @classmethod
    def _bus_is_one(cls, value: str) -> str:
        name = r"[/.\-_A-Za-z0-9]{1,256}"
        return _matched(
            value,
            rf"{name}|arn:[a-z0-9-]+:events:[a-z0-9-]+:\d{{12}}:event-bus/{name}",
            "the name or the ARN of a bus, like 'default'",
        )

    @field_validator("event_source")
    @classmethod
    def _source_is_ours(cls, value: str) -> str:
        if value.lower().startswith("aws."):
            raise ValueError("may not begin with 'aws.', which EventBridge keeps for services of AWS")
        return value


class WebhookSinkOptions(CommonSinkOptions):
    """An HTTP service to which each event is posted."""

    type: Literal["webhook"]
    url: str = Field(max_length=4000)
    """Where events are posted, beginning with `https://`; `http://` only on this machine."""
    batch: int = Field(default=1, ge=1, le=100)
    """Maximum number of events in one request. Above 1, each request has a list of events
    (`application/cloudevents-batch+json`), which the service accepts or refuses as a whole."""
    concurrency: int = Field(default=4, ge=1, le=32)
    """Maximum number of requests of one process at once. With 1, events arrive in their order."""
    secret_files: list[LocalPath] = Field(default_factory=list, max_length=5)
    """Files with secrets that sign each request by the Standard Webhooks specification: one in each, such as
    `whsec_MfKQ…`. The newest first; while a secret is replaced, requests have a signature by each. Read at
    start. Default: requests are not signed."""
    ca_file: LocalPath | None = None
    """Certificates of the authorities that may have signed the service's certificate, in PEM format. Default:
    those of the system."""
    client_cert_file: LocalPath | None = None
    """A client certificate for the service, in PEM format, with its chain."""
    client_key_file: LocalPath | None = None
    """The private key of `client_cert_file`. Default: the key is in that file."""
    header_file: LocalPath | None = None
    """A file with a secret header that every request carries, such as `Authorization: Bearer 4f1c…`. Read at
    start."""

    @property
    def address(self) -> str:
        """The URL without its query, which may contain a secret: for logs."""
        return urlsplit(self.url)._replace(query="").geturl()

    @field_validator("url")
    @classmethod
    def _url_is_safe(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise ValueError("should be an address like 'https://hooks.example.com/files'") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or is_exposed(value):
            raise ValueError(
                "should begin with https://; http:// is only for this machine, because others on the network"
                " could read the events"
            )
        if parts.fragment:
            raise ValueError("should have no fragment (#)")
        if parts.username is not None or parts.password is not None:
            raise ValueError("should have no user name and no password: put credentials into header_file")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        return self


SinkOptions = Annotated[
    FileSinkOptions | SqsSinkOptions | SnsSinkOptions | EventBridgeSinkOptions | WebhookSinkOptions,
    Field(discriminator="type"),
]
"""The options of one sink; `type` says which it is."""


def _matched(value: str, form: str, should_be: str) -> str:
    if re.fullmatch(form, value) is None:
        raise ValueError(f"should be {should_be}")
    return value
