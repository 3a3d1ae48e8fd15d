"""Loads the server's host keys, and generates missing ones, which are then kept permanently.

If a host key changes, every client refuses to connect, and people learn to ignore the warning. So a key is
generated only if there is none, and an unusable key file stops the start.

Of several keys of one type the first is used. The others are announced (`hostkeys-00@openssh.com`), so that
clients that ask for a proof know a key before it is used. This is how a key is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import asyncssh

from s3sftp.errors import ConfigurationError
from s3sftp.ssh.algorithms import kind_of
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.ssh")

FILES: Mapping[str, str] = MappingProxyType(
    {
        "ssh_host_ed25519_key": "ssh-ed25519",
        # for clients without Ed25519: JSch 0.1, Apache MINA without an optional library, Windows' .NET
        "ssh_host_ecdsa_key": "ecdsa-sha2-nistp256",
        "ssh_host_rsa_key": "ssh-rsa",
    }
)
"""The files in the state directory and the type of key in each: the same as sshd's."""
_RSA_BITS = 3072
_LEAST_RSA_BITS = 1024
"""OpenSSH refuses servers with shorter keys."""
_MAX_BYTES = 64 << 10
"""Maximum size of a key file; a key takes less than 16 KiB."""
_NOT_REPLACED = "it is not replaced, as clients would no longer trust the server: restore it, or remove it"
_ELSEWHERE = "name the keys in ssh.host_keys, or a directory that can be written in server.state_dir"


def host_keys_of(given: Sequence[Path | str | asyncssh.SSHKey]) -> list[asyncssh.SSHKey]:
    """The given keys and those in the given files; if there are none, one key of each type for this run only.

    Slow, so do not call it on the event loop.

    Raises ConfigurationError: if files cannot be used; lists each of them.
    """
    if not given:
        _log.warning(
            "host_key.ephemeral",
            advice="for development only; pass host_keys: clients refuse a server whose key has changed",
        )
        return [_new_key(kind) for kind in FILES.values()]
    keys: list[asyncssh.SSHKey] = []
    problems: list[str] = []
    for each in given:
        try:
            keys.append(each if isinstance(each, asyncssh.SSHKey) else load(Path(each)))
        except ConfigurationError as error:
            problems += error.problems
    problems += _repeated(keys)
    if problems:
        raise ConfigurationError(problems)
    return keys


async def host_keys_in_thread(given: Sequence[Path | str | asyncssh.SSHKey]) -> list[asyncssh.SSHKey]:
    """`host_keys_of` for the event loop: runs in a thread, unless all keys are given as objects."""
    if given and all(isinstance(each, asyncssh.SSHKey) for each in given):
        return host_keys_of(given)
    return await asyncio.to_thread(host_keys_of, given)


def load_host_keys(given: Sequence[Path], state_dir: Path) -> list[asyncssh.SSHKey]:
    """The given keys, or those in the state directory, generating the missing ones.

    Slow, so do not call it on the event loop. Servers that start concurrently on one directory get the same
    keys.

    Raises ConfigurationError: if files cannot be used; lists each of them.
    """
    if not given:
        given = [state_dir / name for name in FILES]
        missing = [file for file in given if not os.path.lexists(file)]
        for file in missing:
            try:
                _make(file, FILES[file.name], beside_others=len(missing) < len(FILES))
            except ConfigurationError as error:
                raise ConfigurationError([f"{each}; {_ELSEWHERE}" for each in error.problems]) from error
    return host_keys_of(given)


def _make(file: Path, kind: str, *, beside_others: bool) -> None:
    """Generate a key for all servers on this directory, unless a concurrent start is faster."""
    try:
        generate(file, kind)
    except ConfigurationError:
        if not file.exists():
            raise
    else:
        advice = (
            "a client that trusts another key of this server and prefers this type may ask whom it talks to; "
            "ssh.host_keys with the files of the old keys alone offers only those"
        )
        _log.info("host_key.generated", file=str(file), type=kind, advice=advice if beside_others else None)


def generate(file: Path, kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    """Generate a private key in a new file that only its owner can read. Never replaces a file.

    Raises ConfigurationError: if the file exists or cannot be written.
    """
    key = _new_key(kind)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(file, key.export_private_key("openssh"))
    except FileExistsError as error:
        raise ConfigurationError([f"host key {file} exists already and is not replaced"]) from error
    except OSError as error:
        raise ConfigurationError([f"cannot write host key {file}: {error.strerror or error}"]) from error
    return key


def _new_key(kind: str) -> asyncssh.SSHKey:
    size = {"key_size": _RSA_BITS} if kind == "ssh-rsa" else {}
    return asyncssh.generate_private_key(kind, comment="s3sftp", **size)


def _create(file: Path, data: bytes) -> None:
    """Create the file with all of the data or not at all, and never replace one: a hard link does both."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        _write_new(partial, data)
        try:
            os.link(partial, file)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: a crash may leave a file that the next start reports
            _write_new(file, data)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _write_new(file: Path, data: bytes) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def load(file: Path) -> asyncssh.SSHKey:
    """Load a private key.

    Raises ConfigurationError: if it cannot be used; the text says why, and that nothing was replaced.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
            found = os.fstat(stream.fileno())
    except OSError as error:
        raise ConfigurationError([f"cannot read host key {file}: {error.strerror or error}"]) from error
    except ValueError as error:  # no file system can have such a name
        raise ConfigurationError([f"cannot read host key {str(file)!r}: {error}"]) from error
    key = _imported(file, data)
    if (problem := _unusable(key)) is not None:
        raise ConfigurationError(
            [f"host key {file} is {problem}; make another with `s3sftp host-key generate FILE`"]
        )
    if _is_open_to_others(found):
        ours = found.st_uid == os.geteuid()
        _log.warning(
            "host_key.exposed",
            file=str(file),
            mode=f"{stat.S_IMODE(found.st_mode):04o}",
            advice=f"chmod 600 {file}" if ours else "let only its group read it: mode 0440",
        )
    return key


def _imported(file: Path, data: bytes) -> asyncssh.SSHKey:
    if len(data) > _MAX_BYTES:
        raise ConfigurationError([f"host key {file} is no private key: it is larger than 64 KiB"])
    if data.startswith((b"ssh-", b"ecdsa-", b"sk-", b"-----BEGIN PUBLIC KEY", b"---- BEGIN SSH2 PUBLIC KEY")):
        raise ConfigurationError([f"host key {file} is a public key; name the file with the private one"])
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        if isinstance(error, asyncssh.KeyEncryptionError) or "assphrase" in str(error):
            problem = "is protected by a passphrase; use one without"
        else:
            problem = f"is not a usable private key ({error}); {_NOT_REPLACED}"
        raise ConfigurationError([f"host key {file} {problem}"]) from error


def _unusable(key: asyncssh.SSHKey) -> str | None:
    """Why a key cannot be used as a host key; None if it can."""
    names = [name.decode("ascii") for name in key.sig_algorithms]
    if not any(kind_of(name) == "signatures" for name in names):
        return f"of type {key.get_algorithm()}, which clients no longer accept"
    bits = getattr(getattr(key, "pyca_key", None), "key_size", _RSA_BITS)
    if key.get_algorithm() == "ssh-rsa" and bits < _LEAST_RSA_BITS:
        return f"an RSA key of {bits} bits, which clients no longer accept"
    return None


def _is_open_to_others(found: os.stat_result) -> bool:
    """Whether others have access to the file. Another owner's file may be open to our group: Kubernetes gives
    a pod its Secrets that way."""
    group = stat.S_IRWXG if found.st_uid == os.geteuid() else 0
    return bool(found.st_mode & (group | stat.S_IRWXO))


def known_hosts_line(key: asyncssh.SSHKey, host: str, port: int) -> str:
    """The line for a client's known_hosts file about a server with this key."""
    name = host if port == 22 else f"[{host}]:{port}"
    return f"{name} {' '.join(key.export_public_key('openssh').decode().split()[:2])}"


def _repeated(keys: Sequence[asyncssh.SSHKey]) -> list[str]:
    known = [key.get_fingerprint() for key in keys]
    return [
        f"ssh.host_keys has the key {each} more than once"
        for each in dict.fromkeys(known)
        if known.count(each) > 1
    ]
