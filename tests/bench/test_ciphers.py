"""Clients of the benchmark choose their cipher themselves, and what they ended with is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.clients import rclone
from bench.clients.openssh import CTR, GCM, OWN_CHOICE, Cipher, ended_with, options
from bench.peers import PEERS
from bench.serving import Serving
from bench.sizes import QUICK
from bench.work import works
from tests.bench.servers import nowhere

ASKED = ("Ciphers=", "MACs=")


@pytest.fixture
def server(tmp_path: Path) -> Serving:
    return nowhere(PEERS["s3sftp"], tmp_path)


def _asked(server: Serving, cipher: Cipher) -> list[str]:
    return [word for word in options(server, cipher) if word.startswith(ASKED)]


def test_a_client_is_told_no_cipher_unless_the_work_names_one(server: Serving) -> None:
    assert _asked(server, OWN_CHOICE) == []
    assert not [name for name in rclone.remote(server) if name.endswith(("CIPHERS", "MACS"))]
    assert _asked(server, GCM) == ["Ciphers=aes128-gcm@openssh.com"]
    assert _asked(server, CTR) == ["Ciphers=aes128-ctr", "MACs=hmac-sha2-256-etm@openssh.com"]


def test_a_work_without_a_cipher_in_its_name_asks_for_none() -> None:
    asking = {work.name for work in works(QUICK).values() if getattr(work, "cipher", OWN_CHOICE).name}
    assert asking == {"get-gcm", "put-gcm", "get-ctr", "put-ctr", "get-ctr256", "put-ctr256"}


_LINE = (
    "debug1: kex.c:kex_choose_conf():1091 (pid=7): kex: {way} cipher: {cipher} MAC: {mac} compression: none\n"
)


def _log(scratch: Path, *ended: tuple[str, str, str]) -> None:
    lines = [_LINE.format(way=way, cipher=cipher, mac=mac) for way, cipher, mac in ended]
    (scratch / "client.log").write_text("Connected.\n" + "".join(lines) + "sftp> get a\n")


@pytest.mark.parametrize(
    ("cipher", "mac", "told"),
    [
        ("aes256-gcm@openssh.com", "<implicit>", "aes256-gcm@openssh.com"),
        ("aes128-ctr", "hmac-sha2-256-etm@openssh.com", "aes128-ctr hmac-sha2-256-etm@openssh.com"),
    ],
)
def test_what_a_client_ended_with_is_read_from_its_own_log(
    tmp_path: Path, cipher: str, mac: str, told: str
) -> None:
    _log(tmp_path, ("server->client", cipher, mac), ("client->server", cipher, mac))
    assert ended_with(tmp_path) == told


def test_clients_that_ended_with_different_ciphers_have_all_of_them_told(tmp_path: Path) -> None:
    _log(tmp_path, ("server->client", "a", "<implicit>"), ("client->server", "b", "m"))
    assert ended_with(tmp_path) == "a, b m"


def test_a_client_that_tells_nothing_ended_with_nothing_known(tmp_path: Path) -> None:
    _log(tmp_path)
    assert ended_with(tmp_path) == ""
