"""What the guides say to do works as it is written, with real clients: rotating host keys, the recipes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from testbed.processes import free_port
from tests.cli.command_process import Running, running, s3sftp, toml, write_key_pair
from tests.docs.guides import blocks
from tests.support.client_programs import JSCH, PHPSECLIB_3
from tests.support.commands import installed
from tests.support.partner_sheet import Home

HOST, PORT = "sftp.example.com", 2022
"""Of the server in the recipes."""


def recipe(language: str, beginning: str = "") -> str:
    (found,) = [block for block in blocks("recipes.md", language) if block.startswith(beginning)]
    return found


class Partner:
    """A user at home: with the server's keys, his own, a file, and the recipes' names for all of it."""

    def __init__(self, server: Running, home: Home) -> None:
        self.server = server
        self.home = home

    def here(self, text: str) -> str:
        """A recipe, with this server in place of the one that it names."""
        return text.replace(HOST, "127.0.0.1").replace(str(PORT), str(self.server.port))

    def run(self, line: str) -> str:
        """Run lines of a recipe in a shell that stops at the first that fails; what they print."""
        done = self.home.run(f"set -e\n{self.here(line)}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def listing(self) -> set[str]:
        """What is in `inbox`."""
        done = self.home.run("sftp -b - acme", "ls -1 inbox\n")
        return set(re.findall(r"inbox/(\S+)", done.stdout))


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    directory = tmp_path_factory.mktemp("recipes")
    write_key_pair(directory / "key")
    config = directory / "s3sftp.toml"
    public = Path(f"{directory / 'key'}.pub").read_text().strip()
    groups = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "server": {"state_dir": str(directory / "state")},
        "users.alice": {"authorized_keys": [public], "directories": ["inbox"]},
    }
    config.write_text('backend = "memory"\n' + toml(groups))
    with running("serve", "--config", str(config), directory=directory) as server:
        server.wait_event("server.started")
        home = Home(directory / "home", directory / "key")
        shown = s3sftp(
            *("host-key", "show", "--state-dir", str(directory / "state")),
            *("--host", "127.0.0.1", "--port", str(server.port)),
        )
        known = [line.split(maxsplit=1)[1] for line in shown.stdout.splitlines() if "known_hosts" in line]
        (home.ssh / "known_hosts").write_text("\n".join(known) + "\n")
        partner = Partner(server, home)
        home.configure(partner.here(recipe("sshconfig")))
        (home.directory / "report.csv").write_text("a,b\n1,2\n")
        (home.directory / "outgoing").mkdir()
        (home.directory / "outgoing/one.csv").write_text("1\n")
        yield partner


def test_the_recipe_for_openssh_works(partner: Partner) -> None:
    partner.run(recipe("sh", "echo"))
    assert {"report.csv", "report-2.csv"} <= partner.listing()


def test_the_recipe_for_lftp_works(partner: Partner) -> None:
    installed("lftp")
    partner.run(recipe("sh", "lftp"))
    assert "outgoing" in partner.listing()


def test_the_recipe_for_rclone_works(partner: Partner) -> None:
    program = installed("rclone")
    file = partner.home.directory / ".config/rclone/rclone.conf"
    file.parent.mkdir(parents=True)
    file.write_text(partner.here(recipe("ini")))
    partner.run(f"PATH={Path(program).parent}:$PATH\n{recipe('sh', 'rclone')}")
    assert "incoming" in partner.listing()
    renamed = [
        event for event in partner.server.events("request.completed") if event["request"].endswith("rename")
    ]
    assert [event for event in renamed if "incoming" in event["path"]] == []


def test_the_recipe_for_paramiko_works(partner: Partner) -> None:
    done = _as_the_partner(partner, sys.executable, "-c", partner.here(recipe("python")))
    assert "report-3.csv" in done


def test_the_recipe_for_phpseclib_works(partner: Partner) -> None:
    installed("php")
    PHPSECLIB_3.ready()
    file = partner.home.directory / "recipe.php"
    file.write_text(partner.here(recipe("php")))
    done = _as_the_partner(partner, installed("php"), str(file))
    assert "report-4.csv" in done


def test_the_recipe_for_jsch_works(partner: Partner) -> None:
    command = JSCH.ready()
    libraries = command[command.index("-cp") + 1].partition(":")[2]
    file = partner.home.directory / "Recipe.java"
    file.write_text(
        "import com.jcraft.jsch.*;\npublic final class Recipe {\n"
        "public static void main(String[] arguments) throws Exception {\n"
        f"{partner.here(recipe('java'))}\n}}\n}}\n"
    )
    home = f"-Duser.home={partner.home.directory}"
    _as_the_partner(partner, installed("java"), "-XX:TieredStopAtLevel=1", home, "-cp", libraries, str(file))
    assert "report-5.csv" in partner.listing()


def _as_the_partner(partner: Partner, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=partner.home.directory,
        env=os.environ | {"HOME": str(partner.home.directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_openssh_follows_the_rotation_of_the_runbook(tmp_path: Path) -> None:
    kept = "/etc/s3sftp/host-keys"
    keys = tmp_path / "host-keys"
    for kind in ("ed25519", "ecdsa", "rsa"):
        file = str(keys / f"ssh_host_{kind}_key")
        assert s3sftp("host-key", "generate", "--type", kind, file).returncode == 0
    (generate,) = [block for block in blocks("runbooks.md", "console") if "host-key generate" in block]
    assert s3sftp(*generate.replace(kept, str(keys)).split()[2:]).returncode == 0
    old, new = (
        asyncssh.read_private_key(keys / name) for name in ("ssh_host_ed25519_key", "new_ed25519_key")
    )
    port = free_port()
    write_key_pair(tmp_path / "key")
    home = Home(tmp_path / "home", tmp_path / "key")
    known = home.ssh / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {old.export_public_key().decode()}")
    line = f"sftp -b - -P {port} -i ~/.ssh/id_ed25519 -o UpdateHostKeys=yes alice@127.0.0.1"
    steps = [block for block in blocks("runbooks.md", "toml") if "host_keys" in block]
    learned = [{old, new}, {old, new}, {new}]
    for number, (step, knows) in enumerate(zip(steps, learned, strict=True)):
        config = tmp_path / f"step-{number}.toml"
        config.write_text('backend = "memory"\n' + step.replace(kept, str(keys)))
        flags = ("--config", str(config), "--host", "127.0.0.1", "--port", str(port))
        user = ("--user", "alice", "--authorized-keys", f"{tmp_path / 'key'}.pub")
        with running("serve", *flags, *user, directory=tmp_path) as server:
            server.wait_event("server.started")
            done = home.run(line, "ls\n")
            assert done.returncode == 0, f"step {number}: {done.stderr}"
        lines = [line.split()[2] for line in known.read_text().splitlines() if " ssh-ed25519 " in line]
        assert set(lines) == {key.export_public_key().decode().split()[1] for key in knows}, number
