"""OpenSSH's sftp with its defaults. Client and server agree on the cipher, unless a work names one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.clients.programs import Took, run_together
from bench.serving import Serving
from testbed.processes import program

_LOG = "client.log"
_TELLS_THE_CIPHER = "kex.c:kex_choose_conf*"
"""The lines of the client's log that it writes whatever its level is; since OpenSSH 8.5."""


@dataclass(frozen=True)
class Cipher:
    """What a client asks for; empty: what it likes best of what the server offers."""

    name: str = ""
    mac: str = ""

    def options(self) -> dict[str, str]:
        asked = {"Ciphers": self.name, "MACs": self.mac}
        return {name: value for name, value in asked.items() if value}

    def __str__(self) -> str:
        return " and ".join(f"`{name}`" for name in (self.name, self.mac) if name)


OWN_CHOICE = Cipher()
GCM = Cipher("aes128-gcm@openssh.com")
CTR = Cipher("aes128-ctr", "hmac-sha2-256-etm@openssh.com")
CTR256 = Cipher("aes256-ctr", "hmac-sha2-256-etm@openssh.com")


def options(serving: Serving, cipher: Cipher = OWN_CHOICE) -> list[str]:
    """Options that ssh and sftp share: only our files, only our key."""
    values = {
        "Port": serving.site.port,
        "User": serving.site.identity.user,
        "IdentityFile": serving.site.identity.user_key,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
        **cipher.options(),
    }
    return ["-F", "none", *(word for name, value in values.items() for word in ("-o", f"{name}={value}"))]


def sftp(
    serving: Serving,
    batches: Sequence[Sequence[str]],
    scratch: Path,
    timeout: float,
    cipher: Cipher = OWN_CHOICE,
) -> Took:
    """Run batches of sftp commands at once, each in a client of its own."""
    shared = [*options(serving, cipher), "-o", f"LogVerbose={_TELLS_THE_CIPHER}"]
    commands = []
    for index, lines in enumerate(batches):
        batch = scratch / f"batch-{index}"
        batch.write_text("".join(f"{line}\n" for line in lines))
        commands.append([program("sftp") or "sftp", *shared, "-b", str(batch), serving.host])
    return run_together(commands, {}, scratch / _LOG, timeout)


def ended_with(scratch: Path) -> str:
    """The cipher of the `sftp` that ran last, and its MAC if it has one; several where they differ."""
    said = (scratch / _LOG).read_text(errors="replace")
    pairs = dict.fromkeys(re.findall(r"kex: \S+ cipher: (\S+) MAC: (\S+)", said))
    return ", ".join(name if mac == "<implicit>" else f"{name} {mac}" for name, mac in pairs)
