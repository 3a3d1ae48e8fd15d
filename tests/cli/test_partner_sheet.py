"""`s3sftp partner-sheet`: what it writes is enough to log in, as written; what it lacks it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from s3sftp.auth import hash_password
from s3sftp.ssh.host_keys import FILES
from tests.cli.command_process import Running, running, s3sftp, toml, write_key_pair
from tests.support.commands import installed
from tests.support.partner_sheet import Home, PartnerSheet

SECRET = hash_password("correct horse")


def configure(directory: Path, users: dict[str, dict[str, object]], **groups: dict[str, object]) -> Path:
    """A configuration of a server with a storage in memory."""
    ours: dict[str, dict[str, object]] = {
        "listen": {"host": "127.0.0.1", "port": 0} | groups.get("listen", {}),
        "server": {"state_dir": str(directory / "state")} | groups.get("server", {}),
        "ssh": groups.get("ssh", {}),
    }
    file = directory / "s3sftp.toml"
    tables = {f"users.'{name}'": options for name, options in users.items()}
    file.write_text('backend = "memory"\n' + toml(ours | tables))
    return file


def public(file: Path) -> str:
    return Path(f"{file}.pub").read_text().strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Running]]:
    """A directory, its configuration, and the server that runs with it."""
    directory = tmp_path_factory.mktemp("partner")
    write_key_pair(directory / "key")
    users: dict[str, dict[str, object]] = {
        "alice": {"authorized_keys": [public(directory / "key")], "directories": ["inbox", "outbox"]},
        "bob@acme+eu": {"password_hash": SECRET, "read_only": True},
        "erin": {
            "authorized_keys": [f'from="10.0.0.0/8",expiry-time="20301231" {public(directory / "key")}']
        },
        "zed": {"authorized_keys": ["not a key"]},
    }
    file = configure(directory, users)
    with running("serve", "--config", str(file), directory=directory) as server:
        server.wait_event("server.started")
        yield directory, file, server


def sheet_of(user: str, file: Path, *flags: str) -> str:
    done = s3sftp("partner-sheet", user, "--config", str(file), *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_the_fingerprint_and_the_line_of_each_host_key(world: tuple[Path, Path, Running]) -> None:
    directory, file, server = world
    sheet = PartnerSheet(sheet_of("alice", file, "--port", str(server.port)))
    lines = sheet.block("text", f"[127.0.0.1]:{server.port}").splitlines()
    keys = [asyncssh.read_private_key(directory / "state" / name) for name in FILES]
    assert [line.split()[2] for line in lines] == [
        key.export_public_key().decode().split()[1] for key in keys
    ]
    assert all(f"`{key.get_fingerprint()}` ({key.get_algorithm()})" in sheet.text for key in keys)


def test_its_lines_work_as_they_are_written(world: tuple[Path, Path, Running], tmp_path: Path) -> None:
    directory, file, server = world
    sheet = PartnerSheet(sheet_of("alice", file, "--port", str(server.port)))
    home = Home(tmp_path / "home", directory / "key")
    stranger = home.run(sheet.block("console", "sftp"), "ls\n")
    assert "Host key verification failed" in stranger.stderr
    (home.ssh / "known_hosts").write_text(sheet.block("text", "[127.0.0.1]") + "\n")
    assert "inbox" in home.run(sheet.block("console", "sftp"), "ls\n").stdout
    home.configure(sheet.block("sshconfig"))
    assert "`sftp s3sftp-alice`" in sheet.text
    assert "outbox" in home.run("sftp s3sftp-alice", "ls\n").stdout


def test_the_line_for_lftp_works_as_it_is_written(world: tuple[Path, Path, Running], tmp_path: Path) -> None:
    installed("lftp")
    directory, file, server = world
    sheet = PartnerSheet(sheet_of("alice", file, "--port", str(server.port)))
    home = Home(tmp_path / "home", directory / "key")
    (home.ssh / "known_hosts").write_text(sheet.block("text", "[127.0.0.1]") + "\n")
    home.configure(sheet.block("sshconfig"))
    done = home.run(sheet.block("console", "lftp"), "ls\n")
    assert "inbox" in done.stdout, done.stderr


def test_the_settings_for_rclone_work_as_they_are_written(
    world: tuple[Path, Path, Running], tmp_path: Path
) -> None:
    program = installed("rclone")
    directory, file, server = world
    sheet = PartnerSheet(sheet_of("alice", file, "--port", str(server.port)))
    home = Home(tmp_path / "home", directory / "key")
    (home.ssh / "known_hosts").write_text(sheet.block("text", "[127.0.0.1]") + "\n")
    named = home.run(f"{program} config file").stdout.splitlines()[-1]
    Path(named).parent.mkdir(parents=True, exist_ok=True)
    Path(named).write_text(sheet.block("ini") + "\n")
    assert "`rclone lsl s3sftp-alice:`" in sheet.text
    assert home.run(f"{program} lsl s3sftp-alice:").returncode == 0
    done = home.run(f"{program} lsd s3sftp-alice:")
    assert "inbox" in done.stdout, done.stderr


def test_keys_are_told_by_fingerprint_and_secrets_not_at_all(world: tuple[Path, Path, Running]) -> None:
    directory, file, _ = world
    fingerprint = asyncssh.read_public_key(f"{directory / 'key'}.pub").get_fingerprint()
    alice, bob = sheet_of("alice", file), sheet_of("bob@acme+eu", file)
    assert f"Key: `{fingerprint}` (ssh-ed25519)" in alice
    assert "Password" not in alice
    assert "Password: you get it by another way" in bob
    assert "reading only" in bob
    assert "reading and writing" in alice
    assert "argon2" not in bob
    assert "PRIVATE KEY" not in alice + bob
    erin = sheet_of("erin", file)
    assert f"`{fingerprint}` (ssh-ed25519), until 2030-12-31" in erin
    assert "from the addresses agreed upon" in erin


def test_a_password_and_a_name_with_signs_have_lines_that_ask(
    world: tuple[Path, Path, Running], tmp_path: Path
) -> None:
    _, file, server = world
    sheet = PartnerSheet(sheet_of("bob@acme+eu", file, "--port", str(server.port)))
    assert sheet.block("console", "sftp") == f"sftp -P {server.port} bob@acme+eu@127.0.0.1"
    home = Home(tmp_path / "home")
    (home.ssh / "known_hosts").write_text(sheet.block("text", "[127.0.0.1]") + "\n")
    home.configure(sheet.block("sshconfig"))
    refused = home.run("sftp s3sftp-bob-acme-eu", "ls\n")  # there is nobody who could type the password
    assert "bob@acme+eu@127.0.0.1: Permission denied" in refused.stderr


def test_as_plain_text_it_has_the_same_lines_and_no_signs_of_markdown(
    world: tuple[Path, Path, Running],
) -> None:
    _, file, server = world
    flags = ("--port", str(server.port))
    text, sheet = (
        sheet_of("alice", file, *flags, "--format", "text"),
        PartnerSheet(sheet_of("alice", file, *flags)),
    )
    assert "`" not in text
    assert "#" not in text
    for line in (
        sheet.block("console", "sftp"),
        sheet.block("sshconfig").splitlines()[0],
        *sheet.block("text", "[127.0.0.1]").splitlines(),
    ):
        assert f"\n    {line}\n" in text


def test_what_is_not_known_is_said_and_stands_as_a_word(world: tuple[Path, Path, Running]) -> None:
    _, file, _ = world
    done = s3sftp("partner-sheet", "alice", "--config", str(file), S3SFTP_LISTEN__HOST="")
    assert done.returncode == 0
    assert "--host" in done.stderr
    assert "--port" in done.stderr
    assert "sftp -P PORT -i ~/.ssh/id_ed25519 alice@HOST" in done.stdout
    assert "[HOST]:PORT ssh-ed25519 " in done.stdout
    assert "Host: not known here" in done.stdout


@pytest.mark.parametrize(
    ("host", "port", "line", "known"),
    [
        ("files.example", 22, "alice@files.example", "files.example ssh-ed25519 "),
        ("2001:DB8::1", 2022, "alice@[2001:db8::1]", "[2001:db8::1]:2022 ssh-ed25519 "),
    ],
)
def test_names_and_addresses_are_written_as_clients_want_them(
    world: tuple[Path, Path, Running], host: str, port: int, line: str, known: str
) -> None:
    _, file, _ = world
    sheet = PartnerSheet(sheet_of("alice", file, "--host", host, "--port", str(port)))
    assert sheet.block("console", "sftp") == f"sftp -P {port} -i ~/.ssh/id_ed25519 {line}"
    assert sheet.block("text").startswith(known)


@pytest.mark.parametrize("host", ["", "files.example:22", "a b", "a\nb", "$(id)", "-oProxyCommand=id", "a/b"])
def test_a_host_that_is_none_is_refused(world: tuple[Path, Path, Running], host: str) -> None:
    done = s3sftp("partner-sheet", "alice", "--config", str(world[1]), "--host", host)
    assert (done.returncode, done.stdout) == (2, "")
    assert "should be a host name or an IP address" in done.stderr


def test_an_unknown_user_is_told_with_names_that_are_close(world: tuple[Path, Path, Running]) -> None:
    done = s3sftp("partner-sheet", "alise", "--config", str(world[1]))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "s3sftp: there is no user 'alise'; close to it: alice\n"
    done = s3sftp("partner-sheet", "nobody-like-it", "--config", str(world[1]))
    assert done.stderr.endswith("; there are 4 others\n")


def test_a_user_who_cannot_log_in_is_told(world: tuple[Path, Path, Running]) -> None:
    done = s3sftp("partner-sheet", "zed", "--config", str(world[1]))
    assert done.returncode == 0
    assert "zed cannot log in: no key that can be used, no trusted CA, and no password" in done.stderr
    assert "Not possible yet" in done.stdout


def test_without_host_keys_it_says_what_makes_them_and_makes_none(tmp_path: Path) -> None:
    file = configure(tmp_path, {"alice": {"password_hash": SECRET}})
    done = s3sftp("partner-sheet", "alice", "--config", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "`s3sftp serve` makes them" in done.stderr
    assert "s3sftp host-key generate" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_wrong_configuration_is_told_as_check_tells_it(tmp_path: Path) -> None:
    file = configure(tmp_path, {"alice": {"password_hash": "secret"}}, listen={"prot": 22})
    told = s3sftp("partner-sheet", "alice", "--config", str(file))
    checked = s3sftp("check", "--config", str(file))
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == checked.stderr


def test_a_key_that_is_announced_is_on_it_as_the_next_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        assert s3sftp("host-key", "generate", str(tmp_path / name)).returncode == 0
    keys = [str(tmp_path / "old"), str(tmp_path / "new")]
    file = configure(tmp_path, {"alice": {"password_hash": SECRET}}, ssh={"host_keys": keys})
    sheet = sheet_of("alice", file, "--port", "2022")
    new = asyncssh.read_private_key(keys[1]).get_fingerprint()
    assert f"`{new}` (ssh-ed25519): not in use yet" in sheet
    assert len(PartnerSheet(sheet).block("text").splitlines()) == 2


def test_it_says_what_a_login_needs_and_when_it_is_possible(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    carol: dict[str, object] = {
        "authorized_keys": [public(tmp_path / "key")],
        "password_hash": SECRET,
        "totp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "methods": ["publickey+password", "publickey+totp"],
        "expires": "2027-01-31",
        "networks": ["192.0.2.0/24", "2001:db8::/32"],
        "hours": ["Mon-Fri 07:00-19:00 Europe/Berlin"],
    }
    assert s3sftp("host-key", "generate", str(tmp_path / "host")).returncode == 0
    ssh: dict[str, object] = {"host_keys": [str(tmp_path / "host")]}
    file = configure(tmp_path, {"carol": carol, "alice": {"password_hash": SECRET}}, ssh=ssh)
    sheet = sheet_of("carol", file, "--port", "22")
    assert "A login needs your key, then your password; or your key, then a verification code." in sheet
    assert "Your access ends at 2027-02-01 00:00 UTC." in sheet
    assert "from these addresses: 192.0.2.0/24, 2001:db8::/32" in sheet
    assert "at these hours: Mon,Tue,Wed,Thu,Fri 07:00-19:00 Europe/Berlin" in sheet
    assert "GEZD" not in sheet
    assert "needs" not in sheet_of("alice", file, "--port", "22")


def test_it_says_that_the_credentials_are_not_enough(tmp_path: Path) -> None:
    assert s3sftp("host-key", "generate", str(tmp_path / "host")).returncode == 0
    ssh: dict[str, object] = {"host_keys": [str(tmp_path / "host")]}
    dave: dict[str, object] = {"password_hash": SECRET, "methods": ["publickey+password"]}
    file = configure(tmp_path, {"dave": dave}, ssh=ssh)
    lack = "dave cannot log in: the credentials are not enough for publickey+password"
    assert lack in s3sftp("partner-sheet", "dave", "--config", str(file)).stderr
    assert lack in s3sftp("check", "--config", str(file)).stdout
