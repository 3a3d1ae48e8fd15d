"""`s3sftp check` asks the services of AWS that have users."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.support.aws_users import REGION, Aws, Relay, errs, running_relay


@pytest.fixture
def aws(moto: Store, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Services that the environment's credentials open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return Aws(moto)


async def check(directory: Path, aws: Aws, relay: Relay) -> tuple[int, str]:
    """The exit status and the output."""
    where = f'region = "{REGION}"\nendpoint_url = "{relay.url}"\nretries = 0\n'
    file = directory / "s3sftp.toml"
    file.write_text(
        f'backend = "memory"\n[server]\nstate_dir = "{directory}"\n'
        f'[dynamodb]\nusers_table = "{aws.table}"\n{where}[secrets_manager]\nprefix = "{aws.prefix}"\n{where}'
    )
    command = [sys.executable, "-m", "s3sftp", "check", "--config", str(file)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


async def test_services_that_answer_are_well(moto: Store, aws: Aws, tmp_path: Path) -> None:
    aws.make_table()
    async with running_relay(moto) as relay:
        status, said = await check(tmp_path, aws, relay)
    assert said.count("users can be looked up") == 2
    assert status == 0


async def test_a_missing_table_fails_and_is_named(moto: Store, aws: Aws, tmp_path: Path) -> None:
    async with running_relay(moto) as relay:
        status, said = await check(tmp_path, aws, relay)
    assert status == 1
    assert f"table {aws.table} at {relay.url}: ResourceNotFoundException" in said


async def test_a_denial_names_the_permission(moto: Store, aws: Aws, tmp_path: Path) -> None:
    async with running_relay(moto) as relay:
        relay.fault = errs("AccessDeniedException")
        status, said = await check(tmp_path, aws, relay)
    assert status == 1
    assert "dynamodb:GetItem" in said
    assert "secretsmanager:GetSecretValue" in said
