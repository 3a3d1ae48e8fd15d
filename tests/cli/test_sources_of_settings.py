"""What the AWS environment says to a server: what fails is told in a line, and what may not be is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.processes import wait_until
from testbed.s3_store import Store
from tests.cli.command_process import batch, running, s3sftp, sftp_command, write_key_pair

SECRET = "sealed-secret-of-the-vault"


def arguments(tmp_path: Path, bucket: str) -> list[str]:
    write_key_pair(tmp_path / "key")
    return [
        *("serve", f"s3://{bucket}", "--user", "alice", "--authorized-keys", str(tmp_path / "key.pub")),
        *("--host", "127.0.0.1", "--port", "0", "--state-dir", str(tmp_path / "state")),
    ]


def test_a_server_whose_credentials_fail_at_the_start_says_so_and_gets_well_by_itself(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"the vault has {SECRET}")
    (tmp_path / "config").write_text(f"[profile vault]\ncredential_process = /bin/cat {keys}\n")
    environ = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "vault",
        "AWS_EC2_METADATA_DISABLED": "true",
        "S3SFTP_S3__ADDRESSING": "path",
        "S3SFTP_S3__ENDPOINT_URL": store.endpoint_url,
        "S3SFTP_SERVER__WORKERS": "2",
    }
    with running(*arguments(tmp_path, bucket), directory=tmp_path, **environ) as server:
        command = sftp_command(server.port, tmp_path / "key")
        server.wait_event("server.started")
        told = server.events("credentials.failed")
        assert {"credential_process of profile 'vault'" in each["detail"] for each in told} == {True}
        refused = batch(command, "ls\n")
        assert refused.returncode != 0 or "Failure" in refused.stderr
        checked = s3sftp("check", f"s3://{bucket}", **environ)
        assert checked.returncode == 1
        assert "credential_process of profile 'vault'" in checked.stdout
        keys.write_text(
            json.dumps({"Version": 1, "AccessKeyId": store.access_key, "SecretAccessKey": store.secret_key})
        )
        wait_until(lambda: "Failure" not in batch(command, "ls\n").stderr, 30, "the vault to be open")
        output = server.process.output() + checked.stdout + checked.stderr
        for unwanted in ("Traceback", "internal error", "request.crashed", SECRET):
            assert unwanted not in output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_endpoint_of_the_environment_is_refused_as_that_of_the_options_is(
    tmp_path: Path, workers: str
) -> None:
    environ = {
        "AWS_ENDPOINT_URL_S3": "http://store.test:9000",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "S3SFTP_SERVER__WORKERS": workers,
    }
    served = s3sftp(*arguments(tmp_path, "lab"), **environ)
    checked = s3sftp("check", "s3://lab", **environ)
    for done in (served, checked):
        assert done.returncode == 2
        assert "AWS_ENDPOINT_URL_S3 names http://store.test:9000, plain http" in done.stderr
        assert "Traceback" not in done.stderr
