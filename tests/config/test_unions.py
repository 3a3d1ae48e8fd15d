"""A table whose `type` decides which options it has: read and told like any other."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import Field

from s3sftp.config import Options, Setting, Settings, from_environment, read
from s3sftp.events.sinks import SinkOptions


class Group(Options):
    sinks: dict[str, SinkOptions] = Field(default_factory=dict)


class Root(Options):
    events: Group = Field(default_factory=Group)


def settings(**tables: dict[str, Any]) -> Settings:
    found = [
        Setting(("events", "sinks", name, option), value, "s3sftp.toml")
        for name, table in tables.items()
        for option, value in table.items()
    ]
    return Settings.layered(found)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"type": "file"}, "events.sinks.sqs.file is missing"),
        ({"type": "sqs", "queue_url": "files"}, "events.sinks.sqs.queue_url = 'files'"),
        ({"type": "sqs", "queue_url": "https://x/1/q", "queue_urll": "x"}, "did you mean 'queue_url'?"),
        ({"type": "sns", "topic_arn": "arn:aws:sqs:x"}, "should be an ARN like 'arn:aws:sns:"),
        ({"type": "eventbridge", "event_source": "aws.s3"}, "may not begin with 'aws.'"),
        ({"type": "eventbridge", "bus": "a bus"}, "should be the name or the ARN of a bus"),
        ({"type": "webhook", "url": "http://example.com/"}, "should begin with https://"),
        ({"type": "webhook", "url": "https://a:b@example.com/"}, "put credentials into header_file"),
        ({"type": "webhook", "url": "https://example.com/#x"}, "should have no fragment"),
        ({"type": "webhook", "url": "https://x/", "client_key_file": "/k"}, "needs client_cert_file"),
        ({"type": "webhook", "url": "https://x/", "batch": 0}, "events.sinks.sqs.batch = 0"),
        ({"type": "file", "file": "/e", "kinds": ["upload"]}, "events.sinks.sqs.kinds.0 = 'upload'"),
        ({"type": "file", "file": "/e", "kinds": []}, "events.sinks.sqs.kinds = []"),
        (
            {"type": "file", "file": "/e", "paths": ["/in/"]},
            "should match files, such as '*.csv' or '/in/*.csv'",
        ),
        ({"type": "file", "file": "/e", "time_limit": 0}, "should be longer than zero"),
        ({"type": "sqs", "queue_url": "http://sqs.example.com/1/q"}, "should begin with https://"),
        (
            {"type": "sqs", "queue_url": "https://x/1/q", "endpoint_url": "http://x"},
            "should begin with https://",
        ),
        ({"type": "kafka"}, "'file', 'sqs', 'sns', 'eventbridge', 'webhook'"),
    ],
)
def test_a_wrong_option_is_told_by_its_name_with_what_is_right(table: dict[str, Any], told: str) -> None:
    [problem] = read(Root, settings(sqs=table)).problems
    assert problem.startswith("events.sinks.sqs")
    assert told in problem


def test_lists_and_times_are_read_from_the_environment() -> None:
    environment = from_environment(
        {
            "S3SFTP_EVENTS__SINKS__LOG__TYPE": "file",
            "S3SFTP_EVENTS__SINKS__LOG__FILE": "/var/log/events.jsonl",
            "S3SFTP_EVENTS__SINKS__LOG__KINDS": "upload.committed,file.missing",
            "S3SFTP_EVENTS__SINKS__LOG__PATHS": "*.csv",
            "S3SFTP_EVENTS__SINKS__LOG__TIME_LIMIT": "3 s",
        },
        set(),
    )
    reading = read(Root, Settings.layered(environment))
    assert reading.problems == []
    [(name, sink)] = reading.values["events"].sinks.items()
    assert (name, sink.type, sink.paths) == ("log", "file", ["*.csv"])
    assert [str(each) for each in sink.kinds] == ["upload.committed", "file.missing"]


@pytest.mark.slow
def test_options_load_no_library_of_aws() -> None:
    program = "import sys, s3sftp.app.options, s3sftp.events.sinks; print('aiobotocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
