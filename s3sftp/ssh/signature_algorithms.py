"""Restricts keys to the offered signature algorithms: an RSA key has several, and asyncssh accepts any.

host key   one pair for each algorithm   a connection that negotiates another changes nothing for this one
proof      hostkeys-prove-00             the algorithm of the key exchange, else our first: SHA-2
user key   verifies what is offered      and no other, whatever the client signs with
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket, String

from s3sftp.auth import leading_name

_USER_VERIFIED = 0x04
"""A flag in the signatures of security keys."""
_PROVE = b"hostkeys-prove-00@openssh.com"


def host_key_pairs(keys: Sequence[asyncssh.SSHKey], signatures: Sequence[str]) -> list[asyncssh.SSHKeyPair]:
    """Host key pairs that sign only with `signatures`, which are in order of preference.

    asyncssh stores the algorithm that a connection has negotiated in the pair, which all connections share: a
    client could get the signature that another one has requested. So each algorithm has a pair of its own.
    """
    pairs = []
    for key in keys:
        possible = asyncssh.load_keypairs([key])[0].host_key_algorithms
        for algorithm in sorted(_allowed(possible, signatures), key=lambda each: _rank(each, signatures)):
            (pair,) = asyncssh.load_keypairs([key])
            pair.set_sig_algorithm(algorithm)
            pair.host_key_algorithms = (algorithm,)
            pairs.append(pair)
    return pairs


def prove_host_keys(conn: Any, pairs: Sequence[asyncssh.SSHKeyPair]) -> None:
    """Answer `hostkeys-prove-00@openssh.com` as OpenSSH does; asyncssh may sign for an RSA key with SHA-1.

    Each proof is made once per connection, so repeated requests cost no further signatures.
    """
    preferred: dict[bytes, asyncssh.SSHKeyPair] = {}
    for pair in pairs:
        preferred.setdefault(pair.public_data, pair)
    proofs: dict[tuple[bytes, bytes], bytes] = {}

    def prove(packet: SSHPacket) -> None:
        answer = []
        try:
            while packet:
                data = packet.get_string()
                pair = _negotiated(conn, data) or preferred[data]
                asked = (data, pair.sig_algorithm)
                if asked not in proofs:
                    signed = String(_PROVE) + String(conn._session_id) + String(data)
                    proofs[asked] = String(pair.sign(signed))
                answer.append(proofs[asked])
        except (KeyError, PacketDecodeError):
            conn._report_global_response(False)
        else:
            conn._report_global_response(b"".join(answer))

    conn._process_hostkeys_prove_00_at_openssh_dot_com_global_request = prove


def _negotiated(conn: Any, public_data: bytes) -> asyncssh.SSHKeyPair | None:
    """The pair used in the key exchange, if it has this key."""
    pair: asyncssh.SSHKeyPair | None = conn.get_server_host_key()
    return pair if pair is not None and pair.public_data == public_data else None


def accepted_signatures(key: asyncssh.SSHKey, signatures: Collection[str]) -> set[bytes]:
    """The algorithms of a user's key among `signatures`; if it has none, nobody can log in with it."""
    return set(_allowed(tuple(key.all_sig_algorithms), signatures))


def verify_only(
    key: asyncssh.SSHKey,
    signatures: Collection[str],
    refused: Callable[[str], None],
    verified: Callable[[], bool],
) -> None:
    """Make a user's key verify only `signatures`, and call `refused` with any other algorithm that is tried.

    asyncssh announces its list to the client, but accepts others. `verified` is called for a right signature,
    and returns whether that completes the login; if not, asyncssh answers as for a wrong one.
    """
    allowed = accepted_signatures(key, signatures)
    others = {name.decode("ascii") for name in set(key.all_sig_algorithms) - allowed}
    key.all_sig_algorithms = allowed
    verify = key.verify

    def checked(data: bytes, signature: bytes) -> bool:
        algorithm = leading_name(signature)
        if algorithm in others:
            refused(algorithm)
        return verify(data, signature) and verified()

    key.verify = checked  # type: ignore[assignment]


def require_verified_user(key: asyncssh.SSHKey, refused: Callable[[], None]) -> None:
    """Make a security key's public half verify only signatures for which the key has verified its user, such
    as by a PIN, and call `refused` for others (PROTOCOL.u2f)."""
    verify = key.verify

    def checked(data: bytes, signature: bytes) -> bool:
        if not verify(data, signature):
            return False
        packet = SSHPacket(signature)
        packet.get_string()  # algorithm
        packet.get_string()  # signature
        if packet.get_byte() & _USER_VERIFIED:
            return True
        refused()
        return False

    key.verify = checked  # type: ignore[assignment]


def _rank(algorithm: bytes, signatures: Sequence[str]) -> int:
    return signatures.index(algorithm.decode("ascii"))


def _allowed(algorithms: Sequence[bytes], signatures: Collection[str]) -> tuple[bytes, ...]:
    return tuple(algorithm for algorithm in algorithms if algorithm.decode("ascii") in signatures)
