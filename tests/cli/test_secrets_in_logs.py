"""No secret is in what a server writes, at any level: neither the operator's, nor a user's or a client's."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from pathlib import Path

import asyncssh
import paramiko
import pyotp
import pytest

from testbed.s3_store import Store
from tests.support.hook_server import running_hook, says
from tests.support.server import PASSWORD, Server

TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
KEY = "of-the-chain-" + "4f1c" * 10
HEADER = "of-the-header-9f3a"
SIGNING_KEY = "of-the-signature-" + "77ab" * 8
CONTENT = "content-of-a-file-e5a1"
GUESSES = ("a-wrong-guess-81", "for-nobody-52", "918273")


def use(server: Server, local: Path) -> str:
    """Log in with each kind of credential, right and wrong, and move a file. Returns the verification code
    that was sent."""
    code = ""
    address = (server.host, server.port)
    wrong, nobody, digits = GUESSES
    for user, password in (("alice", wrong), ("nobody", nobody), ("carol", PASSWORD)):
        with contextlib.closing(paramiko.Transport(address)) as transport:
            transport.start_client(timeout=30)
            with contextlib.suppress(paramiko.SSHException):
                if transport.auth_password(user, password, fallback=False):  # a code is next
                    with contextlib.suppress(paramiko.SSHException):
                        transport.auth_interactive(user, lambda *_: [digits])
                    code = pyotp.TOTP(TOTP).at(time.time())
                    transport.auth_interactive(user, lambda *_, code=code: [code])
            if user == "carol":
                assert transport.is_authenticated()
    key = paramiko.Ed25519Key.from_private_key_file(str(server.key_file))
    with contextlib.closing(paramiko.Transport(address)) as transport:
        transport.connect(username="alice", pkey=key)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        client.put(str(local), "/file")
        client.get("/file", str(local))
        with contextlib.suppress(OSError):
            client.open("/missing")
        client.remove("/file")
    return code


@pytest.mark.parametrize("form", ["json", "text"])
async def test_no_secret_is_in_the_logs_of_a_session_at_level_debug(
    seaweed: Store, bucket: str, tmp_path: Path, form: str
) -> None:
    files = {"chain": KEY, "header": f"x-api-key: {HEADER}", "signing": SIGNING_KEY, "local": CONTENT}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    async with running_hook(says({}, status=404)) as hook:
        options: dict[str, dict[str, object]] = {
            "log": {"level": "debug", "format": form},
            "audit": {
                "output": str(tmp_path / "audit.log"),
                "chain": True,
                "chain_key_file": str(tmp_path / "chain"),
            },
            "auth": {"refusal_time": 0.01},
            "hook": {
                "url": hook.url,
                "header_file": str(tmp_path / "header"),
                "signing_key_file": str(tmp_path / "signing"),
            },
        }
        server = Server(tmp_path / "server", seaweed, bucket, options)
        hashed = next(
            line.partition(" = ")[2].strip('"')
            for line in server.config_file.read_text().splitlines()
            if "password_hash" in line
        )
        with server.config_file.open("a") as config:
            config.write(f'\n[users.carol]\npassword_hash = "{hashed}"\ntotp_secret = "{TOTP}"\n')
        try:
            server._spawn()
            await server.until(lambda: "server.started" in server.output(), "the start")
            found = [line for line in server.output().splitlines() if "server.listening" in line]
            server.port = int(found[0].partition("port")[2].strip(' ":=').split(",")[0].split()[0])
            code = await asyncio.to_thread(use, server, tmp_path / "local")
            server.terminate()
            assert await server.ended() == 0
        finally:
            await asyncio.to_thread(server.close)
        assert hook.asked, "the hook was asked"
    whole = server.output() + (tmp_path / "audit.log").read_text()
    for event in (
        "login.failed",
        "login.accepted",
        "upload.committed",
        "request.completed",
        "audit.anchored",
    ):
        assert event in whole
    wrong, nobody, digits = GUESSES
    private = asyncssh.read_private_key(str(server.key_file)).export_private_key().decode().splitlines()
    host = (server.directory / "host_ed25519").read_text().splitlines()
    secrets = {
        *(PASSWORD, TOTP, KEY, HEADER, SIGNING_KEY, CONTENT, hashed, hashed.rpartition("$")[2]),
        *(wrong, nobody, seaweed.secret_key, *private[1:-2], *host[1:-2]),
    }
    assert len(code) == 6
    for number in (code, digits):  # they may be a part of another number
        assert not re.search(rf"\b{number}\b", whole)
    for secret in secrets:
        for shape in (secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode().strip("=")):
            assert shape not in whole, secret
    assert "Authorization" not in whole
    assert "X-Amz-Signature" not in whole
