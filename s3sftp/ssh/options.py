"""Options of the `[listen]` and `[ssh]` groups."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from functools import cached_property
from typing import Literal, Self, TypeAlias, cast

from pydantic import Field, ValidationInfo, field_validator, model_validator

from s3sftp.config import ByteSize, Duration, LocalPath, Options
from s3sftp.ssh.algorithms import Kind, Offer, Policy, checked, checked_additions, offer_of

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED_BITS = 96
"""Of an IPv6 address that stands for an IPv4 address (::ffff:192.0.2.1), those in front of that one."""


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(_plain(ipaddress.ip_network(text.strip(), strict=False))) for text in texts)
    except ValueError as error:
        raise ValueError(f"should be IP addresses or networks: {error}") from None


def _plain(network: _Network) -> _Network:
    """IPv4 written as IPv6 is IPv4, as connections' addresses are."""
    if isinstance(network, ipaddress.IPv4Network) or network.prefixlen < _MAPPED_BITS:
        return network
    address = network.network_address.ipv4_mapped
    return network if address is None else ipaddress.IPv4Network((address, network.prefixlen - _MAPPED_BITS))


class ListenOptions(Options):
    """Where the server listens."""

    host: str = ""
    """Address or name to listen on; empty for all addresses, IPv4 and IPv6."""
    port: int = Field(default=2022, ge=0, le=65535)
    """TCP port; 0 picks a free one, which the log event `server.listening` reports."""
    proxy_protocol: Literal["off", "allowed", "required"] = "off"
    """Whether load balancers say who the client is, by the PROXY protocol, version 1 or 2, so that bans,
    limits, `from=` and the log have its address. `required`: every connection comes from one of
    `proxy_sources` and has a header. `allowed`: those of `proxy_sources` may have one, and others are served
    as what they are."""
    proxy_sources: tuple[str, ...] = ()
    """Addresses and networks of the load balancers whose headers are believed; needed unless
    `proxy_protocol` is `off`. Whoever connects from there can claim any address."""

    @field_validator("proxy_sources")
    @classmethod
    def _networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _networks(texts)

    @model_validator(mode="after")
    def _some_proxy_is_believed(self) -> Self:
        if self.proxy_protocol != "off" and not self.proxy_sources:
            raise ValueError(
                f"proxy_protocol = {self.proxy_protocol!r} needs proxy_sources: the addresses or networks of "
                "the load balancers whose headers are believed"
            )
        return self


class SshOptions(Options):
    """Keys, algorithms and limits of SSH connections."""

    host_keys: tuple[LocalPath, ...] = ()
    """Private keys that the server proves itself with; no others are made. Of several of one type the first
    is used, and the others are announced, so that OpenSSH learns a key before it is used. None: an Ed25519,
    an ECDSA P-256 and an RSA 3072 key are kept in the state directory, and those that are not there yet are
    generated at start."""
    version: str = "s3sftp"
    """What the server calls itself before login, after `SSH-2.0-`."""

    algorithms: Policy = "modern"
    """Which algorithms are offered: `modern`, or `compatible`, which adds behind them what is weak but not
    broken, for software of 2016 and before."""
    extra_algorithms: tuple[str, ...] = ()
    """Algorithms of any kind that are offered too, by name and behind all others, such as `ssh-rsa`. Each
    weak one is a warning at start."""
    key_exchanges: tuple[str, ...] = ()
    """Key exchange methods, in place of the policy's."""
    ciphers: tuple[str, ...] = ()
    """Ciphers, in place of the policy's. `chacha20-poly1305@openssh.com` is known but in no policy: it is the
    one on which the Terrapin attack works best where a client has no strict key exchange."""
    macs: tuple[str, ...] = ()
    """Message authentication codes for the ciphers that need one, in place of the policy's."""
    signatures: tuple[str, ...] = ()
    """Signature algorithms of users' keys and host keys, in place of the policy's."""

    login_grace: Duration = timedelta(seconds=30)
    """A connection that has not logged in by then is closed."""
    max_auth_attempts: int = Field(default=6, ge=1, le=100)
    """Passwords that one connection may try, by `password` and `keyboard-interactive` together."""
    max_key_offers: int = Field(default=20, ge=1, le=1000)
    """Public keys that one connection may offer: agents offer all they have."""
    max_unauthenticated: int = Field(default=100, ge=1, le=100_000)
    """Connections that may be logging in at once; those that come meanwhile wait for their turn. One that
    holds them up makes room for them: one that sends nothing, one of a source that has several, the oldest
    after five seconds."""
    max_unauthenticated_per_source: int = Field(default=20, ge=1, le=100_000)
    """The same for one address (IPv6: one /64 network). More of it wait."""
    max_queued: int = Field(default=500, ge=0, le=100_000)
    """Connections that may wait for their turn to log in, for `login_grace` at most. Each costs a file
    descriptor. When they are so many, those that send nothing make room, then those of the source that has
    the most."""
    shared_sources: tuple[str, ...] = ()
    """Addresses and networks behind which many clients are, such as a NAT, or a load balancer that hides
    their addresses and cannot tell them by `listen.proxy_protocol`: they are never banned, and
    `max_unauthenticated_per_source` does not hold for them."""
    max_connections: int = Field(default=2000, ge=1, le=1_000_000)
    """Connections in all."""
    max_connections_per_user: int = Field(default=500, ge=1, le=1_000_000)
    """Connections of one user."""
    max_sessions_per_connection: int = Field(default=10, ge=1, le=10_000)
    """Channels that one connection may have open at once."""
    idle_connection: Duration = timedelta(minutes=10)
    """A connection without any session is closed after this long; 0 never."""
    keepalive_interval: Duration = timedelta(seconds=30)
    """How often a silent client is asked whether it is still there, so that routers and load balancers do not
    forget the connection; 0 never."""
    keepalive_count: int = Field(default=4, ge=1, le=1000)
    """A client that has left so many of these questions unanswered is given up, but no sooner than a session
    as silent is ended by `sftp.idle_timeout`: clients of one thread answer nothing while they compute. Who
    is gone, TCP finds out."""
    tcp_timeout: Duration = timedelta(minutes=2)
    """A client whose machine has acknowledged nothing for so long, neither data on its way (TCP_USER_TIMEOUT)
    nor TCP's keepalive on a quiet connection, is gone. One that only takes nothing is not. 0 leaves it
    to the system, which may take 15 minutes, or hours."""
    window_bytes: ByteSize = Field(default=2 << 20, ge=1 << 16, le=1 << 28)
    """What a client may send on one channel before it has to wait for the server."""
    rekey_bytes: ByteSize = Field(default=1 << 30, ge=1 << 20, le=1 << 40)
    """Session keys are renewed after so many bytes."""

    fast_packets: bool = True
    """Send and receive data under AES-GCM by a shorter way than asyncssh's. The bytes on the wire are
    the same; off, or with a version of asyncssh that is not known, all is asyncssh's own."""

    @field_validator("shared_sources")
    @classmethod
    def _shared_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return _networks(texts)

    @field_validator("version")
    @classmethod
    def _plain_version(cls, text: str) -> str:
        if not re.fullmatch(r"[!-,.-~]{1,100}", text):
            raise ValueError("should be 1 to 100 printable ASCII characters without spaces or '-'")
        return text

    @field_validator("key_exchanges", "ciphers", "macs", "signatures")
    @classmethod
    def _known_algorithms(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return checked(names, cast("Kind", info.field_name))

    @field_validator("extra_algorithms")
    @classmethod
    def _possible_additions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return checked_additions(names)

    @cached_property
    def offer(self) -> Offer:
        """What is offered to clients: the policy, the lists and the additions together."""
        lists: dict[Kind, tuple[str, ...]] = {
            "key_exchanges": self.key_exchanges,
            "ciphers": self.ciphers,
            "macs": self.macs,
            "signatures": self.signatures,
        }
        return offer_of(self.algorithms, lists, self.extra_algorithms)
