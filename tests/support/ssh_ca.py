"""Keys, CAs, certificates and revocation lists, all made by ssh-keygen."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.commands import installed

KINDS = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa": ("-t", "ecdsa", "-b", "256"),
    "ecdsa521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "2048"),
    "small": ("-t", "rsa", "-b", "1024"),
}


def ssh_keygen(*words: str | Path) -> str:
    """Run ssh-keygen and return what it printed."""
    done = subprocess.run(
        [installed("ssh-keygen"), *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_key(directory: Path, name: str, kind: str = "ed25519") -> Path:
    """A new private key; its public half is beside it."""
    file = directory / name
    ssh_keygen("-q", *KINDS[kind], "-N", "", "-C", name, "-f", file)
    return file


def public_line(key: Path) -> str:
    return Path(f"{key}.pub").read_text("utf-8").strip()


def data_of(file: Path) -> bytes:
    """The key or certificate in a file of one line."""
    return base64.b64decode(file.read_text("utf-8").split()[1])


def certify(
    authority: Path,
    key: Path,
    *options: str,
    principals: str = "alice",
    key_id: str = "alice@laptop",
    serial: int = 7,
    signature: str = "",
) -> Path:
    """Sign the key; the certificate is beside it, where OpenSSH looks for it. `signature`: of an RSA CA."""
    words: Sequence[str] = ("-t", signature) if signature else ()
    named = ("-n", principals) if principals else ()
    ssh_keygen("-q", "-s", authority, *words, "-I", key_id, *named, "-z", str(serial), *options, f"{key}.pub")
    return Path(f"{key}-cert.pub")


def make_krl(
    file: Path, spec: str = "", *keys: Path, authority: Path | None = None, update: bool = False
) -> Path:
    """A Key Revocation List of ssh-keygen, from lines as it takes them and from files of keys."""
    words: list[str | Path] = ["-q", "-k", "-f", file]
    if update:
        words.append("-u")
    if authority is not None:
        words += ["-s", f"{authority}.pub"]
    if spec:
        lines = file.with_suffix(".spec")
        lines.write_text(spec, "utf-8")
        words.append(lines)
    ssh_keygen(*words, *(f"{key}.pub" if not str(key).endswith(".pub") else key for key in keys))
    return file
