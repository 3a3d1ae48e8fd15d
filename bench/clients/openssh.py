"""OpenSSH's sftp with its defaults, and one cipher for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.clients.programs import Took, run_together
from bench.serving import Serving
from testbed.processes import program

CIPHER = "aes128-gcm@openssh.com"


def options(serving: Serving) -> list[str]:
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
        "Ciphers": CIPHER,
    }
    return ["-F", "none", *(word for name, value in values.items() for word in ("-o", f"{name}={value}"))]


def sftp(serving: Serving, batches: Sequence[Sequence[str]], scratch: Path, timeout: float) -> Took:
    """Run batches of sftp commands at once, each in a client of its own."""
    commands = []
    for index, lines in enumerate(batches):
        batch = scratch / f"batch-{index}"
        batch.write_text("".join(f"{line}\n" for line in lines))
        commands.append([program("sftp") or "sftp", *options(serving), "-b", str(batch), serving.host])
    return run_together(commands, {}, scratch / "client.log", timeout)
