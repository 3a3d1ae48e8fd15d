"""`s3sftp demo`: everything at once, twice, with the same files."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from tests.cli.command_process import Running, batch, running


def _printed(demo: Running) -> tuple[list[str], str]:
    demo.process.wait_ready(lambda: "Other clients" in demo.process.output(), 90)
    text = demo.process.output().replace("\\\n", "")
    sftp = re.search(r"^ +(sftp .*)$", text, re.MULTILINE)
    aws = re.search(r"^ +(AWS_ACCESS_KEY_ID=.*)$", text, re.MULTILINE)
    assert sftp
    assert aws
    command = shlex.split(sftp[1])
    return [command[0], "-F", "none", "-o", "BatchMode=yes", "-b", "-", *command[1:]], aws[1]


def _listed(aws_line: str) -> list[str]:
    """What the printed `aws` line would list: its words are used, the program may not be installed."""
    words = shlex.split(aws_line)
    environ = dict(word.split("=", 1) for word in words[:3])
    url = words[words.index("--endpoint-url") + 1]
    assert words[-3:-1] == ["ls", "--recursive"]
    client: Any = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )
    answer = client.list_objects_v2(Bucket=words[-1].removeprefix("s3://"))
    client.close()
    return [entry["Key"] for entry in answer.get("Contents", [])]


def test_the_printed_lines_work_and_files_survive_a_restart(tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello")
    arguments = ("demo", "--dir", str(tmp_path / "demo"), "--port", "0")
    (tmp_path / "first").mkdir()
    with running(*arguments, directory=tmp_path / "first") as demo:
        sftp, aws = _printed(demo)
        done = batch(sftp, f"put {tmp_path}/hello greeting\n")
        assert done.returncode == 0, done.stderr
        assert _listed(aws) == ["greeting"]
        store = _store_pid(tmp_path / "demo")
        demo.process.send(signal.SIGINT)
        assert demo.process.wait(60) == 0
        assert not _alive(store)
    (tmp_path / "second").mkdir()
    with running(*arguments, directory=tmp_path / "second") as demo:
        sftp, aws = _printed(demo)
        done = batch(sftp, f"get greeting {tmp_path}/back\n")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "back").read_text() == "hello"
        store = _store_pid(tmp_path / "demo")
        demo.process.send(signal.SIGTERM)
        assert demo.process.wait(60) == 0
        assert not _alive(store)


def _store_pid(directory: Path) -> int:
    found = subprocess.run(
        ["pgrep", "-f", f"weed server -dir={directory}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


def _alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
