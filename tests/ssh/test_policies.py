"""Algorithm policies: what is weak is offered to who asks for it by name, and the log says what it risks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from s3sftp.auth import UserOptions
from s3sftp.ssh import SshOptions
from s3sftp.ssh.algorithms import COMPATIBLE, FIPS, MODERN, REFUSED, RISKS, checked_additions, kind_of
from s3sftp.ssh.negotiation import mismatches
from tests.ssh.listener_harness import ALICES_KEY, HOST_KEY, PASSWORD, listener_harness, write_key
from tests.ssh.ssh_clients import dbclient, openssh
from tests.ssh.test_algorithms import offered

RSA_KEY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
ECDSA_KEY = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
COMPATIBLE_NAMES = [name for names in COMPATIBLE.values() for name in names]
OLD = (
    "KexAlgorithms=diffie-hellman-group14-sha1",
    "Ciphers=aes128-cbc",
    "MACs=hmac-sha1",
)
OF_2016: Mapping[str, Any] = {"algorithms": "compatible", "extra_algorithms": ["ssh-rsa"]}


def test_nothing_weak_is_in_the_default() -> None:
    assert SshOptions().offer.weak == {}
    names = [name for kind in MODERN.values() for name in kind]
    assert not [name for name in names for part in REFUSED if part in name]


def test_compatible_adds_what_is_weak_behind_what_is_modern_and_no_sha1_signatures() -> None:
    modern, compatible = SshOptions().offer, SshOptions(algorithms="compatible").offer
    for kind in MODERN:
        assert compatible.of(kind) == (*modern.of(kind), *COMPATIBLE[kind])
    assert set(compatible.weak) == set(RISKS) - {"ssh-rsa"} == set(COMPATIBLE_NAMES)


NOT_APPROVED = ("25519", "448", "sntrup", "sha1", "chacha20", "umac", "cbc", "md5", "1.3.132")


async def test_fips_offers_approved_algorithms_alone_to_who_connects() -> None:
    lists = await offered(ssh={"algorithms": "fips"}, host_keys=(HOST_KEY, ECDSA_KEY, RSA_KEY))
    assert lists[0][0] == "mlkem768nistp256-sha256"
    assert lists[1] == ["ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
    for names in lists[:6]:
        assert not [name for name in names for part in NOT_APPROVED if part in name]
    assert set(FIPS["key_exchanges"]) < set(MODERN["key_exchanges"])


@pytest.mark.parametrize(
    "named",
    [
        {"extra_algorithms": ["ssh-rsa"]},
        {"extra_algorithms": ["ssh-ed25519"]},
        {"ciphers": ["chacha20-poly1305@openssh.com"]},
        {"key_exchanges": ["curve25519-sha256"]},
        {"macs": ["umac-128@openssh.com"]},
        {"signatures": ["ssh-ed25519"]},
    ],
)
def test_fips_allows_no_other_algorithm_by_any_option(named: dict[str, Any]) -> None:
    (name,) = next(iter(named.values()))
    with pytest.raises(ValidationError, match=f'{name}: algorithms = "fips" allows approved'):
        SshOptions(algorithms="fips", **named)


def test_lists_may_choose_among_what_fips_has() -> None:
    options = SshOptions(algorithms="fips", ciphers=["aes256-gcm@openssh.com"])  # type: ignore[arg-type]
    assert options.offer.ciphers == ("aes256-gcm@openssh.com",)
    assert options.offer.macs == FIPS["macs"]


async def test_fips_takes_ecdsa_and_rsa_keys_of_users_and_explains_why_not_ed25519(tmp_path: Path) -> None:
    keys = {"ecdsa": ECDSA_KEY, "rsa": RSA_KEY, "ed25519": ALICES_KEY}
    lines = tuple(key.export_public_key().decode() for key in keys.values())
    users = {"alice": UserOptions(authorized_keys=lines)}
    async with listener_harness(users=users, host_keys=(ECDSA_KEY,), ssh={"algorithms": "fips"}) as house:
        for name in ("ecdsa", "rsa"):
            file = write_key(keys[name], tmp_path / name)
            (await openssh(house.port, f"IdentityFile={file}", "BatchMode=yes")).ok()
        # OpenSSH sees that it would be in vain; other clients try
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect(
                password=None, client_keys=[_Heedless(ALICES_KEY)], preferred_auth="publickey"
            )
        (entry,) = house.logged("login.signature_refused")
        assert entry["algorithm"] == "ssh-ed25519"
        assert "fips" in entry["advice"]


async def test_what_a_client_lacks_for_fips_is_told_without_advice_that_would_break_the_policy() -> None:
    async with listener_harness(host_keys=(ECDSA_KEY,), ssh={"algorithms": "fips"}) as house:
        (await openssh(house.port, "KexAlgorithms=curve25519-sha256", "BatchMode=yes")).failed()
        await house.empties()
        (entry,) = house.logged("connection.negotiation_failed")
        assert entry["missing"] == "key exchange"
        assert "extra_algorithms" not in entry["advice"]


class _Heedless(asyncssh.SSHKeyPair):
    """Signs by the algorithm of its key, whatever the server has announced."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        algorithm = key.get_algorithm().encode()
        super().__init__(algorithm, algorithm, (b"rsa-sha2-256",), (), key.public_data, None)
        self._key = key

    def set_sig_algorithm(self, sig_algorithm: bytes) -> None:
        pass

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, self._key.get_algorithm().encode())


async def test_what_is_offered_on_the_wire_is_the_policy_and_the_additions() -> None:
    lists = await offered(ssh=OF_2016, host_keys=(HOST_KEY, RSA_KEY))
    assert lists[0][0] == "mlkem768x25519-sha256"
    assert "diffie-hellman-group14-sha1" in lists[0]
    assert lists[1] == ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]
    assert lists[2][-3:] == lists[3][-3:] == ["aes128-cbc", "aes192-cbc", "aes256-cbc"]
    assert lists[4][-2:] == ["hmac-sha1-etm@openssh.com", "hmac-sha1"]


def test_an_addition_goes_behind_the_list_of_its_kind_also_where_that_is_ones_own() -> None:
    options = SshOptions(ciphers=["aes256-ctr"], extra_algorithms=["aes128-cbc", "curve448-sha512"])  # type: ignore[arg-type]
    assert options.offer.ciphers == ("aes256-ctr", "aes128-cbc")
    assert options.offer.key_exchanges == (*SshOptions().offer.key_exchanges, "curve448-sha512")
    assert set(options.offer.weak) == {"aes128-cbc"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("diffie-hellman-group1-sha1", "Logjam"),
        ("diffie-hellman-group-exchange-sha256", "1024 bits"),
        ("3des-cbc", "Sweet32"),
        ("arcfour", "RC4"),
        ("hmac-md5", "MD5"),
        ("hmac-sha1-96", "96 bits"),
        ("ssh-dss", "DSA"),
        ("none", "no protection"),
        ("aes128-xyz", "unknown here: aes128-xyz; known: .*aes128-cbc"),
    ],
)
def test_what_is_broken_or_unknown_is_refused_at_start_with_the_reason(name: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SshOptions(extra_algorithms=[name])  # type: ignore[arg-type]


def test_a_policy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValidationError, match="'modern', 'compatible' or 'fips'"):
        SshOptions(algorithms="legacy")  # type: ignore[arg-type]


def test_a_weak_name_in_a_list_is_told_where_it_belongs() -> None:
    with pytest.raises(ValidationError, match=r"ssh\.extra_algorithms"):
        SshOptions(macs=["hmac-sha1"])  # type: ignore[arg-type]


def test_a_name_that_the_installed_libraries_lack_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {kind: frozenset(MODERN[kind]) - {"ssh-ed448"} for kind in MODERN}
    monkeypatch.setattr("s3sftp.ssh.algorithms._INSTALLED", installed)
    with pytest.raises(ValueError, match=r"the installed libraries .* lack ssh-ed448"):
        checked_additions(("aes128-ctr", "ssh-ed448"))
    assert "ssh-ed448" not in SshOptions().offer.signatures


def test_every_weak_name_can_be_added_and_has_its_risk_told() -> None:
    assert checked_additions(tuple(RISKS)) == tuple(RISKS)
    assert all(kind_of(name) for name in RISKS)


async def test_each_weak_algorithm_is_a_warning_at_start_that_names_its_risk() -> None:
    async with listener_harness(ssh=OF_2016) as harness:
        told = harness.logged("algorithm.weak")
        assert {entry["algorithm"]: entry["risk"] for entry in told} == dict(RISKS)
        assert len(told) == len(RISKS)
        assert {entry["log_level"] for entry in told} == {"warning"}
    async with listener_harness() as harness:
        assert not harness.logged("algorithm.weak")


async def test_openssh_of_old_algorithms_works_with_compatible_and_is_explained_without(
    tmp_path: Path,
) -> None:
    key = write_key(ALICES_KEY, tmp_path / "key")
    options = (*OLD, f"IdentityFile={key}", "BatchMode=yes")
    async with listener_harness(ssh={"algorithms": "compatible"}) as harness:
        (await openssh(harness.port, *options)).ok()
        assert harness.logged("login.accepted")[0]["cipher"] == "aes128-cbc"
    async with listener_harness() as harness:
        (await openssh(harness.port, *options)).failed()
        await harness.empties()
        told = harness.logged("connection.negotiation_failed")
        # all at once, so that one change of the configuration is enough
        assert [entry["missing"] for entry in told] == ["key exchange", "cipher", "MAC"]
        assert "diffie-hellman-group14-sha1" in told[0]["offered"]
        for entry in told:
            assert 'ssh.algorithms = "compatible"' in entry["advice"]
            assert "OpenSSH" in entry["client"]
            assert entry["log_level"] == "warning"


@pytest.mark.parametrize(
    ("option", "missing", "advice"),
    [
        ("KexAlgorithms=diffie-hellman-group1-sha1", "key exchange", "update the client: "),
        ("HostKeyAlgorithms=ssh-rsa", "host key", 'ssh.extra_algorithms = ["ssh-rsa"]'),
        ("HostKeyAlgorithms=ecdsa-sha2-nistp256", "host key", "add one to ssh.host_keys"),
        ("Ciphers=aes256-cbc", "cipher", 'ssh.algorithms = "compatible"'),
        ("Ciphers=3des-cbc", "cipher", "update the client: "),
        ("Ciphers=chacha20-poly1305@openssh.com", "cipher", "ssh.extra_algorithms"),
        ("MACs=umac-64@openssh.com", "MAC", 'ssh.extra_algorithms = ["umac-64@openssh.com"]'),
    ],
)
async def test_what_a_client_lacks_is_told_with_the_option_that_would_help(
    option: str, missing: str, advice: str
) -> None:
    async with listener_harness(host_keys=(HOST_KEY, RSA_KEY)) as harness:
        ciphers = () if option.startswith("Ciphers") else ("Ciphers=aes128-ctr",)
        (await openssh(harness.port, option, *ciphers, "BatchMode=yes")).failed()
        await harness.empties()
        (entry,) = harness.logged("connection.negotiation_failed")
        assert entry["missing"] == missing
        assert advice in entry["advice"]


async def test_sha1_signatures_work_for_who_adds_them_and_are_explained_without(tmp_path: Path) -> None:
    key = write_key(RSA_KEY, tmp_path / "key")
    users = {"alice": UserOptions(authorized_keys=(RSA_KEY.export_public_key().decode(),))}
    options = (f"IdentityFile={key}", "BatchMode=yes", "PubkeyAcceptedAlgorithms=ssh-rsa")
    keys = (HOST_KEY, RSA_KEY)
    async with listener_harness(
        users=users, host_keys=keys, ssh={"extra_algorithms": ["ssh-rsa"]}
    ) as harness:
        (await openssh(harness.port, *options, "HostKeyAlgorithms=ssh-rsa")).ok()
        assert harness.logged("login.accepted")
    pair = asyncssh.load_keypairs([RSA_KEY])[0]
    pair.set_sig_algorithm(b"ssh-rsa")
    pair.sig_algorithms = (b"ssh-rsa",)
    async with listener_harness(users=users, host_keys=keys) as harness:
        (await openssh(harness.port, *options)).failed()
        with pytest.raises(asyncssh.PermissionDenied):
            # old clients sign so without looking at what the server has announced
            await harness.connect(
                password=None, client_keys=[pair], preferred_auth="publickey", signature_algs="ssh-rsa"
            )
        (entry,) = harness.logged("login.signature_refused")
        assert (entry["user"], entry["algorithm"]) == ("alice", "ssh-rsa")
        assert 'ssh.extra_algorithms = ["ssh-rsa"]' in entry["advice"]


@pytest.mark.parametrize("cipher", ["aes128-cbc", "aes256-ctr", "aes256-gcm@openssh.com"])
@pytest.mark.parametrize("mac", ["hmac-sha1", "hmac-sha1-etm@openssh.com", "hmac-sha2-256"])
async def test_files_survive_every_cipher_and_mac(tmp_path: Path, cipher: str, mac: str) -> None:
    content = bytes(range(256)) * 4096
    async with listener_harness(ssh={"algorithms": "compatible"}) as harness:
        options = {"encryption_algs": [cipher], "mac_algs": [mac]}
        connection = await harness.connect(kex_algs=["diffie-hellman-group14-sha1"], **options)
        async with connection, connection.start_sftp_client() as sftp:
            async with sftp.open("/f", "wb") as file:
                await file.write(content)
            async with sftp.open("/f", "rb") as file:
                assert await file.read() == content


def _paramiko(port: int, **old: tuple[str, ...]) -> None:
    with paramiko.Transport(("127.0.0.1", port)) as transport:
        options = transport.get_security_options()
        for kind, names in old.items():
            setattr(options, kind, names)
        transport.connect(username="alice", password=PASSWORD)
        with paramiko.SFTPClient.from_transport(transport) as sftp:  # type: ignore[union-attr]
            sftp.listdir("/")


async def test_paramiko_and_dropbear_of_old_algorithms_work_with_compatible(tmp_path: Path) -> None:
    async with listener_harness(ssh=OF_2016, host_keys=(RSA_KEY,)) as harness:
        await asyncio.to_thread(
            _paramiko,
            harness.port,
            kex=("diffie-hellman-group14-sha256",),
            ciphers=("aes256-cbc",),
            digests=("hmac-sha1",),
        )
        await dbclient(harness.port, tmp_path, "-c", "aes128-ctr", "-m", "hmac-sha1")
        assert len(harness.logged("login.accepted")) == 2


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_kexinit_that_a_client_sends_raises(rest: bytes, cut: int) -> None:
    lists = b"".join(
        len(name).to_bytes(4, "big") + name for name in (b"a,b", b"\xff", b"", b",,", rest, rest)
    )
    for sent in (rest, (bytes(17) + lists)[:cut]):
        mismatches(sent, SshOptions().offer, {"ssh-ed25519"})
