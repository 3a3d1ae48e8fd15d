"""SSH certificates: users without a listed key log in by one of a trusted CA, and for no other reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from asyncssh.packet import String

from s3sftp.auth import UserOptions
from tests.ssh.certified_keys import OfferedBytes, SecurityKey
from tests.ssh.listener_harness import CHEAP, HOST_KEY, PASSWORD, ListenerHarness, listener_harness
from tests.support.client_programs import GO
from tests.support.commands import Result, installed, run
from tests.support.ssh_ca import certify, data_of, make_key, make_krl, public_line, ssh_keygen

pytestmark = pytest.mark.slow

KEYLESS: Mapping[str, UserOptions] = {"alice": UserOptions(), "bob": UserOptions()}


@dataclass
class Company:
    """A CA, and the key of alice that it may certify."""

    directory: Path
    ca: Path
    key: Path
    auth: dict[str, Any] = field(default_factory=dict)

    def trusting(
        self, users: Mapping[str, UserOptions] = KEYLESS, **options: Any
    ) -> AbstractAsyncContextManager[ListenerHarness]:
        """A server that trusts the CA."""
        auth = {"trusted_user_ca_keys": [public_line(self.ca)]} | self.auth
        return listener_harness(users=users, auth=auth, **options)

    async def sftp(self, port: int, user: str = "alice", *options: str, key: Path | None = None) -> Result:
        """OpenSSH's sftp with alice's key and the certificate beside it."""
        words = (
            f"IdentityFile={key or self.key}",
            "IdentityAgent=none",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "UserKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=no",
            *options,
        )
        flags = [word for option in words for word in ("-o", option)]
        return await run([installed("sftp"), "-F", "none", "-P", str(port), *flags, f"{user}@127.0.0.1"])


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path, make_key(tmp_path, "ca"), make_key(tmp_path, "alice"))


def reasons(house: ListenerHarness) -> set[str]:
    return {str(entry["reason"]) for entry in house.logged("login.certificate_refused")}


async def test_a_certificate_of_a_trusted_ca_logs_in_who_has_no_key_and_the_log_says_which(
    company: Company,
) -> None:
    certify(company.ca, company.key)
    async with company.trusting() as house:
        (await company.sftp(house.port)).ok()
        (entry,) = house.logged("login.accepted")
        assert entry["method"] == "publickey"
        assert (entry["user"], entry["certificate"], entry["serial"]) == ("alice", "alice@laptop", 7)
        assert entry["authority"] in ssh_keygen("-l", "-f", company.ca)
        assert entry["key"] in ssh_keygen("-l", "-f", company.key)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "ecdsa521", "rsa"])
@pytest.mark.parametrize("ca_kind", ["ed25519", "ecdsa", "ecdsa521", "rsa"])
async def test_openssh_logs_in_with_every_kind_of_key_and_ca(tmp_path: Path, ca_kind: str, kind: str) -> None:
    company = Company(tmp_path, make_key(tmp_path, "ca", ca_kind), make_key(tmp_path, "alice", kind))
    certify(company.ca, company.key)
    async with company.trusting() as house:
        (await company.sftp(house.port)).ok()


async def test_the_key_without_its_certificate_opens_nothing(company: Company) -> None:
    async with company.trusting() as house:
        (await company.sftp(house.port)).failed()
        assert not house.logged("login.accepted")


async def test_a_key_of_the_user_is_no_ca(company: Company) -> None:
    own = make_key(company.directory, "own")
    certify(own, company.key)
    async with company.trusting({"alice": UserOptions(authorized_keys=(public_line(own),))}) as house:
        (await company.sftp(house.port, key=own)).ok()
        (await company.sftp(house.port)).failed()
        assert reasons(house) == {"the CA is not trusted for this user"}


async def test_a_ca_key_opens_no_account_by_itself(company: Company) -> None:
    async with company.trusting() as house:
        (await company.sftp(house.port, key=company.ca)).failed()
        assert not house.logged("login.accepted")


@pytest.mark.parametrize("principals", ["alice", "bob,alice", "alice,root"])
async def test_one_of_the_principals_has_to_be_the_users_name(company: Company, principals: str) -> None:
    certify(company.ca, company.key, principals=principals)
    async with company.trusting() as house:
        (await company.sftp(house.port)).ok()


@pytest.mark.parametrize("principals", ["bob", "ALICE", "alic", "alice2", "*"])
async def test_any_other_principal_is_refused(company: Company, principals: str) -> None:
    certify(company.ca, company.key, principals=principals)
    async with company.trusting() as house:
        (await company.sftp(house.port)).failed()
        assert reasons(house) == {f"the certificate is for {principals}, not for alice"}


async def test_a_certificate_without_principals_is_refused(company: Company) -> None:
    certify(company.ca, company.key, principals="")
    async with company.trusting() as house:
        (await company.sftp(house.port)).failed()
        assert reasons(house) == {"the certificate names no principal"}


async def test_principals_of_a_user_take_the_place_of_the_name(company: Company) -> None:
    users = {"alice": UserOptions(principals=("acme-upload", "ops")), "bob": UserOptions(principals=())}
    async with company.trusting(users) as house:
        certify(company.ca, company.key, principals="ops")
        (await company.sftp(house.port)).ok()
        certify(company.ca, company.key, principals="alice,bob")
        (await company.sftp(house.port)).failed()
        (await company.sftp(house.port, "bob")).failed()
        assert "the CA is not trusted for this user" in reasons(house)


async def test_an_unknown_user_and_an_unknown_ca_are_refused(company: Company) -> None:
    certify(company.ca, company.key, principals="carol")
    async with company.trusting() as house:
        (await company.sftp(house.port, "carol")).failed()
        assert reasons(house) == {"there is no such user"}
    certify(make_key(company.directory, "other"), company.key)
    async with company.trusting() as house:
        (await company.sftp(house.port)).failed()
        assert reasons(house) == {"the CA is not trusted for this user"}


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ("-2h:-1h", "the certificate has expired at"),
        ("+1h:+2h", "the certificate is not valid before"),
    ],
)
async def test_a_certificate_holds_in_its_time_only(company: Company, window: str, reason: str) -> None:
    certify(company.ca, company.key, "-V", window)
    async with company.trusting() as house:
        (await company.sftp(house.port)).failed()
        assert all(told.startswith(reason) for told in reasons(house))
        assert reasons(house)
        certify(company.ca, company.key, "-V", "-1h:+1h")
        (await company.sftp(house.port)).ok()
        certify(company.ca, company.key, "-V", "always:forever")
        (await company.sftp(house.port)).ok()


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("source-address=192.0.2.0/24", "the certificate may be used from 192.0.2.0/24 only"),
        (
            "force-command=/bin/sh",
            "the critical option force-command asks for '/bin/sh'; only SFTP is served",
        ),
        ("verify-required", "the critical option verify-required needs a key of a security key"),
        ("critical:role@example.com=x", "the critical option 'role@example.com' is unknown here"),
    ],
)
async def test_a_critical_option_that_forbids_the_login_or_is_unknown_refuses_it(
    company: Company, option: str, reason: str
) -> None:
    certify(company.ca, company.key, "-O", option)
    async with company.trusting() as house:
        (await company.sftp(house.port)).failed()
        assert reasons(house) == {reason}


@pytest.mark.parametrize(
    "options",
    [
        ("source-address=127.0.0.0/8,192.0.2.1",),
        ("force-command=internal-sftp",),
        ("clear", "permit-pty"),
        ("extension:anything@example.com=x",),
        ("no-x11-forwarding", "no-touch-required"),
    ],
)
async def test_what_restricts_nothing_here_is_no_hindrance(company: Company, options: Sequence[str]) -> None:
    certify(company.ca, company.key, *(word for option in options for word in ("-O", option)))
    async with company.trusting() as house:
        (await company.sftp(house.port)).ok()


async def test_a_certificate_for_a_host_logs_nobody_in(company: Company) -> None:
    certify(company.ca, company.key, "-h")
    async with company.trusting() as house:
        # OpenSSH does not offer it
        with pytest.raises(asyncssh.PermissionDenied):
            await _connect(house, company)
        assert reasons(house) == {"a certificate of a host, not of a user"}


async def test_a_ca_that_signs_with_sha1_is_refused_even_if_users_may(tmp_path: Path) -> None:
    company = Company(tmp_path, make_key(tmp_path, "ca", "rsa"), make_key(tmp_path, "alice"))
    async with company.trusting(ssh={"extra_algorithms": ["ssh-rsa"]}) as house:
        certify(company.ca, company.key, signature="ssh-rsa")
        with pytest.raises(asyncssh.PermissionDenied):
            await _connect(house, company)
        assert reasons(house) == {"the CA signs with 'ssh-rsa', which is not accepted"}
        certify(company.ca, company.key, signature="rsa-sha2-256")
        (await company.sftp(house.port)).ok()


async def test_a_key_or_ca_of_1024_bits_is_refused(tmp_path: Path) -> None:
    small = make_key(tmp_path, "small", "small")
    company = Company(tmp_path, make_key(tmp_path, "ca"), make_key(tmp_path, "alice"))
    async with company.trusting() as house:
        certify(small, company.key)
        with pytest.raises(asyncssh.PermissionDenied):
            await _connect(house, company)
        certify(company.ca, small)
        with pytest.raises(asyncssh.PermissionDenied):
            await _connect(house, Company(tmp_path, company.ca, small))
        assert all("1024 bits is too short" in reason for reason in reasons(house))
        connections = {entry["connection"] for entry in house.logged("login.certificate_refused")}
        assert len(connections) == 2


async def test_a_cert_authority_line_certifies_for_that_user_alone(company: Company) -> None:
    lines = {
        "alice": f"cert-authority {public_line(company.ca)}",
        "bob": f'cert-authority,principals="ops,alice",from="127.0.0.1" {public_line(company.ca)}',
        "carol": f'cert-authority,from="192.0.2.1" {public_line(company.ca)}',
        "dave": f'cert-authority,expiry-time="20200101" {public_line(company.ca)}',
    }
    users = {name: UserOptions(authorized_keys=(line,)) for name, line in lines.items()}
    users["erin"] = UserOptions(password_hash=CHEAP.hash(PASSWORD))
    certify(company.ca, company.key, principals="alice,carol,dave,erin")
    async with listener_harness(users=users) as house:
        (await company.sftp(house.port, "alice")).ok()
        (await company.sftp(house.port, "bob")).ok()
        for name in ("carol", "dave", "erin"):
            (await company.sftp(house.port, name)).failed()
        assert reasons(house) == {
            "the CA's own entry has expired, or does not allow the client's address",
            "the CA is not trusted for this user",
        }
        certify(company.ca, company.key, principals="ops")
        (await company.sftp(house.port, "bob")).ok()
        (await company.sftp(house.port, "alice")).failed()


def _paramiko(port: int, key: Path) -> None:
    loaded = paramiko.Ed25519Key.from_private_key_file(str(key))
    loaded.load_certificate(f"{key}-cert.pub")
    with paramiko.Transport(("127.0.0.1", port)) as transport:
        transport.connect(username="alice", pkey=loaded)
        with paramiko.SFTPClient.from_transport(transport) as sftp:  # type: ignore[union-attr]
            sftp.listdir("/")


async def test_paramiko_and_asyncssh_log_in_by_certificate(company: Company) -> None:
    certify(company.ca, company.key)
    async with company.trusting() as house:
        await asyncio.to_thread(_paramiko, house.port, company.key)
        (await _connect(house, company)).close()
        assert len(house.logged("login.accepted")) == 2


@pytest.mark.timeout(900)  # the first run builds it
async def test_gos_x_crypto_logs_in_by_certificate(company: Company) -> None:
    certify(company.ca, company.key)
    async with company.trusting() as house:
        known_hosts = company.directory / "known_hosts"
        known_hosts.write_text(f"[127.0.0.1]:{house.port} {HOST_KEY.export_public_key().decode()}")
        env = {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(house.port),
            "SFTP_USER": "alice",
            "SFTP_PASSWORD": "",
            "SFTP_KEY": str(company.key),
            "SFTP_CERTIFICATE": f"{company.key}-cert.pub",
            "SFTP_KNOWN_HOSTS": str(known_hosts),
            "SFTP_LOCAL": str(company.directory),
            "SFTP_REMOTE": "/",
        }
        result = await run(GO.ready(), env)
        assert house.logged("login.accepted"), result.text
        assert {entry["certificate"] for entry in house.logged("login.accepted")} == {"alice@laptop"}


async def _connect(house: ListenerHarness, company: Company, **options: Any) -> asyncssh.SSHClientConnection:
    pair = (str(company.key), f"{company.key}-cert.pub")
    return await house.connect(password=None, client_keys=[pair], preferred_auth="publickey", **options)


# -- what nobody's client sends


async def _offer(house: ListenerHarness, data: bytes, key: Path, user: str = "alice") -> bool:
    """Whether a client gets in that offers these bytes and signs with this key."""
    pair = OfferedBytes(data, asyncssh.read_private_key(str(key)))
    try:
        connection = await house.connect(user, password=None, client_keys=[pair], preferred_auth="publickey")
    except asyncssh.DisconnectError:
        return False
    connection.close()
    return True


async def test_the_offer_of_the_tests_gets_in_with_a_right_certificate(company: Company) -> None:
    """Otherwise the next tests would prove nothing."""
    data = data_of(certify(company.ca, company.key))
    async with company.trusting() as house:
        assert await _offer(house, data, company.key)


async def test_whoever_has_the_certificate_but_not_its_key_is_refused(company: Company) -> None:
    data = data_of(certify(company.ca, company.key))
    async with company.trusting() as house:
        assert not await _offer(house, data, make_key(company.directory, "thief"))
        # the certificate is right, so it was asked to sign; it is the signature that was refused
        assert not house.logged("login.certificate_refused")
        assert not house.logged("login.accepted")
        await house.empties()
        assert house.logged("login.failed")


@pytest.mark.parametrize("where", ["key id", "principal", "signature", "nonce"])
async def test_one_changed_byte_is_a_wrong_signature(company: Company, where: str) -> None:
    data = bytearray(data_of(certify(company.ca, company.key)))
    at = {
        "key id": data.index(b"alice@laptop"),
        "principal": data.index(b"\0\0\0\x05alice") + 4,
        "signature": len(data) - 1,
        "nonce": 4 + len("ssh-ed25519-cert-v01@openssh.com") + 4,
    }[where]
    data[at] ^= 1
    async with company.trusting() as house:
        assert not await _offer(house, bytes(data), company.key)
        assert reasons(house) == {"the signature of the CA is wrong"}


async def test_a_certificate_that_certifies_another_is_no_ca(company: Company) -> None:
    """PROTOCOL.certkeys: no chains."""
    middle = make_key(company.directory, "middle")
    chained = data_of(certify(company.ca, middle, principals="alice"))
    data = data_of(certify(middle, company.key))
    plain = data_of(Path(f"{middle}.pub"))
    assert String(plain) in data
    async with company.trusting() as house:
        assert not await _offer(house, data, company.key)
        assert not await _offer(house, data.replace(String(plain), String(chained)), company.key)
        assert reasons(house) == {"the CA is not trusted for this user", "the certificate is malformed"}


async def test_truncated_and_huge_certificates_are_refused_and_the_server_lives(company: Company) -> None:
    data = data_of(certify(company.ca, company.key))
    async with company.trusting() as house:
        for length in (0, 3, 20, 40, 100, len(data) // 2, len(data) - 1):
            assert not await _offer(house, data[:length], company.key)
        assert not await _offer(house, data + b"\0", company.key)
        many = ",".join(f"role-{number:04}" for number in range(250))
        certify(company.ca, company.key, principals=f"{many},alice")
        assert await _offer(house, data_of(Path(f"{company.key}-cert.pub")), company.key)
        # more than any login may send
        certify(company.ca, company.key, "-O", f"extension:big@example.com={'x' * 60_000}")
        assert not await _offer(house, data_of(Path(f"{company.key}-cert.pub")), company.key)
        certify(company.ca, company.key)
        (await company.sftp(house.port)).ok()


@pytest.mark.parametrize(
    ("options", "flags", "gets_in"),
    [
        ((), 0x01, True),
        ((), 0x00, False),  # nobody has touched it
        (("-O", "no-touch-required"), 0x00, False),
        (("-O", "verify-required"), 0x05, True),
        (("-O", "verify-required"), 0x01, False),
    ],
)
async def test_a_security_key_has_to_be_touched_and_where_required_to_verify_its_user(
    company: Company, options: Sequence[str], flags: int, gets_in: bool
) -> None:
    pair = SecurityKey.certified(company.directory / "sk", company.ca, flags, *options)
    async with company.trusting() as house:
        try:
            await house.connect(password=None, client_keys=[pair], preferred_auth="publickey")
        except asyncssh.PermissionDenied:
            assert not gets_in
        else:
            assert gets_in
        expected = {"the security key has not verified its user"} if "verify-required" in options else set()
        assert reasons(house) == (set() if gets_in else expected)


async def test_certificates_count_as_offered_keys_whatever_is_wrong_with_them(company: Company) -> None:
    certify(make_key(company.directory, "other"), company.key)
    data = data_of(Path(f"{company.key}-cert.pub"))
    broken = data[:60]
    key = asyncssh.read_private_key(str(company.key))
    pairs = [OfferedBytes(each, key) for each in (data, broken) * 3]
    async with company.trusting(ssh={"max_key_offers": 4}) as house:
        with pytest.raises(asyncssh.DisconnectError, match="Too many authentication failures"):
            await house.connect(password=None, client_keys=pairs, preferred_auth="publickey")
        await house.empties()
        assert len(house.logged("login.certificate_refused")) == 4
        assert len(house.logged("login.failed")) == 1


async def test_every_refusal_of_a_certificate_takes_its_time(company: Company) -> None:
    certificate = certify(company.ca, company.key, principals="alice,nobody")
    right = data_of(certificate)
    forged = right[:-1] + bytes([right[-1] ^ 1])
    revoked = company.directory / "revoked"
    revoked.write_text(certificate.read_text())
    foreign = data_of(certify(make_key(company.directory, "other"), company.key, principals="alice"))
    company.auth = {"refusal_time": 5, "revoked_keys": revoked}
    clock = asyncio.get_running_loop().time
    async with company.trusting() as house:
        for user, data in (
            ("alice", right),
            ("alice", forged),
            ("alice", foreign),
            ("alice", right[:80]),
            ("nobody", right),
        ):
            began = clock()
            assert not await _offer(house, data, company.key, user)
            assert clock() - began >= 0.5, (user, data)  # a tenth, as for keys


# -- revocation


def _lists(company: Company, certificate: Path) -> Iterator[tuple[str, Path]]:
    """Every way to revoke what alice has, by ssh-keygen and by hand."""
    made = company.directory
    fingerprint = ssh_keygen("-l", "-f", f"{company.key}.pub").split()[1]
    yield "key", make_krl(made / "key.krl", "", company.key)
    yield "sha256", make_krl(made / "sha256.krl", f"sha256: {public_line(company.key)}\n")
    yield "sha1", make_krl(made / "sha1.krl", f"sha1: {public_line(company.key)}\n")
    yield "hash", make_krl(made / "hash.krl", f"hash: {fingerprint}\n")
    yield "ca", make_krl(made / "ca.krl", "", company.ca)
    ca = company.ca
    yield "serial", make_krl(made / "serial.krl", "serial: 7\n", authority=ca)
    yield "range", make_krl(made / "range.krl", "serial: 5-9\n", authority=ca)
    bitmap = "".join(f"serial: {number}\n" for number in (1, 3, 4, 7, 8, 11, 12, 14, 17, 18, 20))
    yield "bitmap", make_krl(made / "bitmap.krl", bitmap, authority=ca)
    yield "id", make_krl(made / "id.krl", "id: alice@laptop\n", authority=ca)
    yield "certificate", make_krl(made / "certificate.krl", "", certificate)
    updated = make_krl(made / "updated.krl", "serial: 100\n", authority=ca)
    yield "updated", make_krl(updated, "serial: 7\n", authority=ca, update=True)
    for name, line in {
        "line of the key": public_line(company.key),
        "line of the ca": public_line(company.ca),
        "line of the certificate": certificate.read_text(),
        "line of a serial": "serial: 0x7",
        "line of a range": "Serial: 6 - 8  # the stolen laptops",
        "line of an id": "id: alice@laptop",
        "line of a hash": f"hash: {fingerprint}",
        "line with options": f'from="192.0.2.1" {public_line(company.key)}',
    }.items():
        file = made / name.replace(" ", "-")
        file.write_text(f"# revoked\n\n{line}\n")
        yield name, file


async def test_every_way_to_revoke_refuses_the_login_and_is_told(company: Company) -> None:
    certificate = certify(company.ca, company.key)
    for name, file in _lists(company, certificate):
        company.auth = {"revoked_keys": file}
        async with company.trusting() as house:
            with pytest.raises(asyncssh.PermissionDenied):
                (await _connect(house, company)).close()
                pytest.fail(f"not revoked by {name}")
            assert any("revoked" in reason for reason in reasons(house)), name


async def test_what_is_not_listed_is_not_revoked(company: Company) -> None:
    """The same lists, made for somebody else with another CA, another serial number and another key ID."""
    other = Company(company.directory, make_key(company.directory, "ca2"), make_key(company.directory, "eve"))
    certificate = certify(other.ca, other.key, serial=21, key_id="eve")
    certify(company.ca, company.key, serial=21 + 1)
    for name, file in _lists(other, certificate):
        if name == "line of an id":
            continue  # of any CA
        company.auth = {"revoked_keys": file}
        async with company.trusting() as house:
            (await _connect(house, company)).close()
            assert not reasons(house), name


async def test_a_serial_of_another_ca_is_not_revoked(company: Company) -> None:
    certify(company.ca, company.key)
    other = make_key(company.directory, "other")
    company.auth = {
        "revoked_keys": make_krl(company.directory / "krl", "serial: 7\nid: alice@laptop\n", authority=other)
    }
    async with company.trusting() as house:
        (await company.sftp(house.port)).ok()


async def test_a_revoked_key_opens_no_account_by_itself_either(company: Company) -> None:
    users = {"alice": UserOptions(authorized_keys=(public_line(company.key),))}
    krl = make_krl(company.directory / "krl", "")
    async with listener_harness(users=users, auth={"revoked_keys": krl}) as house:
        (await company.sftp(house.port)).ok()
        # looked at for each login, without a reload
        make_krl(krl, "", company.key, update=True)
        (await company.sftp(house.port)).failed()
        (entry,) = house.logged("login.key_barred")
        assert (entry["user"], entry["reason"]) == ("alice", "the key is revoked")
        assert entry["key"] in ssh_keygen("-l", "-f", company.key)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"SSHKRL\n\0\0\0\0\1", "cut off"),
        (b"ssh-ed25519 AAAA", "line 1: a public key that is damaged"),
        (b"# fine\nserial: many\n", "line 2: serial: 'many'"),
        (b"\xff\xfe\xfd", ""),
    ],
)
async def test_while_the_list_cannot_be_used_no_key_and_no_certificate_logs_in(
    company: Company, content: bytes | None, problem: str
) -> None:
    certify(company.ca, company.key)
    file = company.directory / "revoked"
    file.write_text("#\n")
    company.auth = {"revoked_keys": file}
    users = {
        "alice": UserOptions(),
        "bob": UserOptions(authorized_keys=(public_line(company.key),), password_hash=CHEAP.hash(PASSWORD)),
    }
    async with company.trusting(users) as house:
        (await company.sftp(house.port)).ok()
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        (await company.sftp(house.port)).failed()
        (await company.sftp(house.port, "bob", "CertificateFile=none")).failed()
        (entry,) = house.logged("revocations.unusable")  # once, not for each login
        assert problem in entry["problem"]
        assert str(file) in entry["problem"]
        (await house.connect("bob")).close()  # by password
        file.unlink(missing_ok=True)
        file.write_text("# nothing\n")
        (await company.sftp(house.port)).ok()
        assert house.logged("revocations.usable")
