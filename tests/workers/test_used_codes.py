"""Verification codes are used once, whichever worker a client reaches."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import paramiko
import pyotp

from tests.cli.mounted_secret import Partners

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def test_a_code_can_be_used_once_whichever_worker_it_reaches(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 2)
    partners.users.write({"alice.toml": partners.table("alice", totp_secret=SECRET)})
    with partners.serving(), contextlib.ExitStack() as stack:
        key = paramiko.Ed25519Key.from_private_key_file(str(partners.key("alice")))
        transports = []
        for _ in range(4):  # open at once, so that both workers have some
            transport = stack.enter_context(paramiko.Transport(("127.0.0.1", partners.server.port)))
            transport.start_client(timeout=20)
            assert transport.auth_publickey("alice", key) == ["keyboard-interactive"]
            transports.append(transport)
        code = pyotp.TOTP(SECRET).at(time.time())
        for transport in transports:
            with contextlib.suppress(paramiko.AuthenticationException):
                transport.auth_interactive("alice", lambda *_: [code])
        assert [transport.is_authenticated() for transport in transports] == [True, False, False, False]
        assert {event["worker"] for event in partners.server.events("login.continued")} == {1, 2}
        assert SECRET not in partners.server.process.output()
