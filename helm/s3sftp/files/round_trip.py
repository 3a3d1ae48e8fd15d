"""`helm test`: a file goes to the server and comes back, as a client's would.

The user exists as long as the test: its public key is put into a Secret that the servers mount, and taken out
again at the end. So it takes until the kubelet and the server have seen the Secret, about a minute.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import secrets
import socket
import sys
import time
from pathlib import Path

import asyncssh
import kubernetes_secrets

HOST, PORT = os.environ["SFTP_HOST"], int(os.environ["SFTP_PORT"])
USER = os.environ["SFTP_USER"]
SECRET = os.environ["SECRET_NAME"]
PROXIED = os.environ["PROXY_PROTOCOL"] == "required"
PROXY_SOURCES = [
    ipaddress.ip_network(source.strip(), strict=False)
    for source in os.environ.get("PROXY_SOURCES", "").split(",")
    if source.strip()
]
SECONDS = float(os.environ["TIMEOUT_SECONDS"])
PUBLIC_KEYS = Path(os.environ.get("PUBLIC_KEYS_DIR", "/public-keys"))
PAUSE_SECONDS = 2


def main() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519", comment="helm test")
    kubernetes_secrets.delete(SECRET)  # of a test that was killed
    kubernetes_secrets.create(SECRET, {"helm-test-user.toml": _user(key)})
    try:
        asyncio.run(_test(key))
    finally:
        kubernetes_secrets.delete(SECRET)


def _user(key: asyncssh.SSHKey) -> bytes:
    line = key.export_public_key("openssh").decode().strip()
    return f"[users.{json.dumps(USER)}]\nauthorized_keys = [{json.dumps(line)}]\n".encode()


async def _test(key: asyncssh.SSHKey) -> None:
    deadline = time.monotonic() + SECONDS
    print(f"waiting until {HOST}:{PORT} knows {USER}: a minute or two")
    while True:
        try:
            async with asyncio.timeout(20):
                connection = await _connect(key)
            break
        except asyncssh.HostKeyNotVerifiable:
            sys.exit("FAILED: the server's host key is not the one in the Secret: restart the Deployment?")
        except (asyncssh.Error, OSError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"FAILED: not within {SECONDS:g} s: {_told(error)}")
        await asyncio.sleep(PAUSE_SECONDS)
    async with connection:
        print(f"logged in; host key {connection.get_server_host_key().get_fingerprint()}")
        async with asyncio.timeout(60), connection.start_sftp_client() as sftp:
            await _there_and_back(sftp)
    print("PASSED: a file went there and came back as it was")


async def _connect(key: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
    sock = await asyncio.to_thread(socket.create_connection, (HOST, PORT), 10)
    if PROXIED:
        _check_that_the_server_trusts(sock.getsockname()[0])
        sock.sendall(_proxy_header(sock))
    sock.setblocking(False)
    known = await asyncio.to_thread(_host_keys)
    return await asyncssh.connect(
        HOST,
        PORT,
        sock=sock,
        config=None,
        username=USER,
        client_keys=[key],
        agent_path=None,
        known_hosts=(known, [], []) if known else None,
    )


def _host_keys() -> list[asyncssh.SSHKey]:
    """Those that the server should have, if the Secret tells."""
    return [asyncssh.read_public_key(file) for file in sorted(PUBLIC_KEYS.glob("*.pub"))]


def _check_that_the_server_trusts(address: str) -> None:
    """End the test at once where waiting would not help."""
    here = ipaddress.ip_address(address)
    if not any(here in network for network in PROXY_SOURCES):
        sys.exit(
            f"FAILED: config.listen.proxy_protocol = required, and the address of this pod, {here}, is not "
            f"in config.listen.proxy_sources ({', '.join(map(str, PROXY_SOURCES))}): the server refuses it. "
            "Set test.host to the host name of the load balancer: the test then goes through it."
        )


def _proxy_header(sock: socket.socket) -> bytes:
    """What the load balancer would say in front of this connection: version 1, for itself."""
    (here, port), (there, to) = sock.getsockname()[:2], sock.getpeername()[:2]
    family = "TCP6" if sock.family == socket.AF_INET6 else "TCP4"
    return f"PROXY {family} {here} {there} {port} {to}\r\n".encode()


async def _there_and_back(sftp: asyncssh.SFTPClient) -> None:
    name, content = f"helm-test-{secrets.token_hex(8)}", secrets.token_bytes(1 << 20)
    async with sftp.open(name, "wb") as file:
        await file.write(content)
    try:
        async with sftp.open(name, "rb") as file:
            if await file.read() != content:
                sys.exit("FAILED: the file came back with other bytes")
        if name not in await sftp.listdir():
            sys.exit("FAILED: the file is not in the listing")
    finally:
        await sftp.remove(name)


def _told(error: Exception) -> str:
    if isinstance(error, asyncssh.PermissionDenied):
        return (
            f"{error}: the server does not know the user. Its log says whether it has read the users again, "
            "and what was wrong with them."
        )
    if isinstance(error, asyncssh.ConnectionLost) and PROXIED:
        return (
            f"{error}: this pod sent a PROXY header. Does the server see it by another address, which is not "
            "in config.listen.proxy_sources? Then set test.host to the host name of the load balancer."
        )
    return f"{error}: `kubectl get pods` and `/readyz` say whether a pod is ready, and why not."


if __name__ == "__main__":
    try:
        main()
    except kubernetes_secrets.Refused as refused:
        sys.exit(f"FAILED: {refused}")
