"""Users who log in by certificate, with the real server: CAs that change, revocations, errors at start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.admin_client import AdminResponse, ask
from tests.cli.command_process import s3sftp, wait_until
from tests.cli.mounted_secret import Partners
from tests.support.ssh_ca import certify, make_key, make_krl, public_line

NO_KEY = '[users.{0}]\nprefix = "{0}/"\n'
one_and_two = pytest.mark.parametrize("company", [1, 2], ids=["one process", "two workers"], indirect=True)


class Company:
    """A server that trusts a CA, and has alice, who has no key."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.directory = directory
        self.partners = Partners(directory, workers)
        self.ca = make_key(directory, "ca")
        self.ca_file = directory / "cas.pub"
        self.ca_file.write_text(public_line(self.ca) + "\n")
        self.revoked = directory / "revoked"
        self.revoked.write_text("# nothing yet\n")
        self.partners.options["auth"] |= {
            "trusted_user_ca_keys_file": str(self.ca_file),
            "revoked_keys": str(self.revoked),
        }
        self.partners.mount(alice=NO_KEY.format("alice"), bob=NO_KEY.format("bob"))

    def certify(self, name: str, ca: Path | None = None, serial: int = 7) -> None:
        certify(ca or self.ca, self.partners.key(name), principals=name, serial=serial, key_id=name)

    def gets_in(self, name: str) -> bool:
        return self.partners.gets_in(name)

    def replace(self, file: Path, text: str) -> None:
        new = file.with_suffix(".new")
        new.write_text(text)
        new.rename(file)


@pytest.fixture
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Company]:
    made = Company(tmp_path, getattr(request, "param", 1))
    with made.partners.serving():
        yield made


def readiness(port: int) -> AdminResponse:
    return asyncio.run(ask(port, "/readyz"))


@one_and_two
def test_a_ca_is_replaced_without_a_restart(company: Company) -> None:
    company.certify("alice")
    for _ in range(4):  # whichever worker it is
        assert company.gets_in("alice")
    other = make_key(company.directory, "ca2")
    company.replace(company.ca_file, f"{public_line(company.ca)}\n{public_line(other)}\n")
    assert company.partners.until_reloaded()["changed"] == 2
    company.certify("bob", other)
    wait_until(lambda: company.gets_in("bob"), 20, "the new CA to be trusted")
    assert company.gets_in("alice")
    company.replace(company.ca_file, f"{public_line(other)}\n")
    company.partners.until_reloaded(2)
    wait_until(lambda: not company.gets_in("alice"), 20, "the old CA to be trusted no more")
    assert company.gets_in("bob")


def test_a_ca_file_that_cannot_be_used_is_named_and_the_cas_stay(company: Company) -> None:
    company.certify("alice")
    company.replace(company.ca_file, "ssh-ed25519 AAAA\n")
    problem = company.partners.until("config.reload_failed")["problem"]
    assert str(company.ca_file) in problem
    assert "line 1: not a public key" in problem
    assert company.gets_in("alice")


@one_and_two
def test_a_revocation_holds_from_the_next_login_on_in_every_worker(company: Company) -> None:
    company.certify("alice")
    company.certify("bob", serial=8)
    for _ in range(4):
        assert company.gets_in("alice")
    new = make_krl(company.directory / "krl", "serial: 7\n", authority=company.ca)
    new.rename(company.revoked)
    for _ in range(4):
        assert not company.gets_in("alice")
        assert company.gets_in("bob")
    refused = company.partners.server.events("login.certificate_refused")
    assert {event["reason"] for event in refused} == {"the certificate with the serial number 7 is revoked"}


@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_says_that_nobody_can_log_in_by_key_while_the_list_is_unusable(
    tmp_path: Path, workers: int
) -> None:
    company = Company(tmp_path, workers)
    company.partners.options["admin"] = {"port": 0}
    company.certify("alice")
    with company.partners.serving():
        port = int(company.partners.until("admin.listening")["port"])
        assert readiness(port).status == 200
        company.replace(company.revoked, "")
        said = readiness(port)
        assert said.status == 503
        assert str(company.revoked) in said.reasons["revocations_unusable"]
        assert not company.gets_in("alice")
        assert company.partners.until("revocations.unusable")["problem"]
        company.replace(company.revoked, "# nothing\n")
        assert readiness(port).status == 200
        assert company.gets_in("alice")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_the_server_does_not_start_with_a_list_that_it_cannot_use(tmp_path: Path, command: str) -> None:
    company = Company(tmp_path, 1)
    company.partners.configure()
    company.revoked.write_text("serial: all\n")
    done = s3sftp(command, "--config", str(company.partners.config))
    assert done.returncode == 2
    assert f"auth.revoked_keys: {company.revoked}: line 1: serial: 'all'" in done.stderr
    company.revoked.unlink()
    done = s3sftp(command, "--config", str(company.partners.config))
    assert done.returncode == 2
    assert f"auth.revoked_keys: {company.revoked}: No such file" in done.stderr


def test_who_has_neither_key_nor_password_nor_ca_is_named_at_start(tmp_path: Path) -> None:
    company = Company(tmp_path, 1)
    company.partners.mount(alice=NO_KEY.format("alice"), bob=NO_KEY.format("bob") + "principals = []\n")
    company.partners.configure()
    done = s3sftp("check", "--offline", "--config", str(company.partners.config))
    assert done.returncode == 2
    assert "users.bob cannot log in" in done.stderr
    assert "alice" not in done.stderr
    # a file without a CA: everything is right, and yet nobody can log in
    company.partners.mount(alice=NO_KEY.format("alice"))
    company.ca_file.write_text("# none\n")
    done = s3sftp("check", "--offline", "--config", str(company.partners.config))
    assert done.returncode == 1
    assert "alice cannot log in: no key that can be used, no trusted CA, and no password" in done.stdout


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("ssh-ed25519 AAAA", "line 1: not a public key"),
        ('cert-authority,principals="ops" {ca}', "principals= belongs in a user's own authorized_keys"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
    ],
)
def test_a_ca_that_cannot_be_used_is_an_error_at_start(tmp_path: Path, lines: str, problem: str) -> None:
    company = Company(tmp_path, 1)
    company.partners.configure()
    company.ca_file.write_text(lines.format(ca=public_line(company.ca)))
    done = s3sftp("check", "--offline", "--config", str(company.partners.config))
    assert done.returncode == 2
    assert "auth.trusted_user_ca_keys" in done.stderr
    assert problem in done.stderr


def test_the_sheet_for_a_partner_says_which_certificate_logs_in(tmp_path: Path) -> None:
    company = Company(tmp_path, 1)
    company.partners.configure()
    state = tmp_path / "state"
    os.makedirs(state, exist_ok=True)
    s3sftp("host-key", "generate", str(state / "host_key")).check_returncode()
    company.partners.configure(ssh={"host_keys": [str(state / "host_key")]})
    done = s3sftp("partner-sheet", "alice", "--config", str(company.partners.config), "--host", "h")
    assert done.returncode == 0, done.stderr
    assert "SSH certificate of the CA `SHA256:" in done.stdout
    assert "for the principal `alice`" in done.stdout
    assert "cannot log in" not in done.stderr


def test_a_ca_is_no_password_for_who_has_to_prove_one(tmp_path: Path) -> None:
    company = Company(tmp_path, 1)
    alice = NO_KEY.format("alice")
    for methods, problem in {
        '["publickey"]': None,
        '["password"]': "methods asks for a password (password), and there is no password_hash",
        '["publickey+password"]': "methods asks for a password (publickey+password)",
        '["publickey+totp"]': "methods asks for totp (publickey+totp), and there is no totp_secret",
    }.items():
        company.partners.mount(alice=f"{alice}methods = {methods}\n")
        company.partners.configure()
        done = s3sftp("check", "--offline", "--config", str(company.partners.config))
        assert done.returncode == (2 if problem else 0), done.stderr
        assert (problem or "") in done.stderr
