"""Options of the `[listen]` and `[ssh]` groups."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import Literal, Self, cast

from pydantic import Field, ValidationInfo, field_validator, model_validator

from s3sftp.auth import normalized_networks
from s3sftp.config import ByteSize, Duration, LocalPath, Options
from s3sftp.ssh.algorithms import Kind, Offer, Policy, checked, checked_additions, not_approved, offer_of


class ListenOptions(Options):
    """Where the server listens."""

    host: str = ""
    """Address or name to listen on; empty for all addresses, IPv4 and IPv6."""
    port: int = Field(default=2022, ge=0, le=65535)
    """TCP port; 0 picks a free one, which the log event `server.listening` reports."""
    proxy_protocol: Literal["off", "allowed", "required"] = "off"
    """Whether load balancers report the client's address by the PROXY protocol, version 1 or 2, for use in
    bans, limits, `from=` and the log. `required`: every connection must come from one of `proxy_sources` and
    begin with a header. `allowed`: connections from `proxy_sources` may begin with a header; all others are
    served with their own address."""
    proxy_sources: tuple[str, ...] = ()
    """Addresses and networks of the load balancers whose headers are believed; required unless
    `proxy_protocol` is `off`. Any host in them can claim any client address."""

    @field_validator("proxy_sources")
    @classmethod
    def _networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return normalized_networks(texts)

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
    """Files with the server's private host keys; if any are given, no others are generated. Of several keys
    of one type the first is used, and the others are announced, so that OpenSSH learns a key before it is
    used. None: an Ed25519, an ECDSA P-256 and an RSA 3072 key are kept in the state directory, and missing
    ones are generated at start."""
    version: str = "s3sftp"
    """The server's software version, sent before login after `SSH-2.0-`."""

    algorithms: Policy = "modern"
    """Which algorithms are offered: `modern`; `compatible`, which adds weak but unbroken algorithms after
    them, for software of 2016 and before; or `fips`, which has only those of `modern` that FIPS 140-3
    approves, and allows no others in `extra_algorithms` and the lists below."""
    extra_algorithms: tuple[str, ...] = ()
    """Algorithms of any kind that are offered in addition, by name and after all others, such as `ssh-rsa`.
    Each weak one causes a warning at start."""
    key_exchanges: tuple[str, ...] = ()
    """Key exchange methods that replace the policy's."""
    ciphers: tuple[str, ...] = ()
    """Ciphers that replace the policy's. `chacha20-poly1305@openssh.com` is supported but in no policy: the
    Terrapin attack works best on it if a client lacks strict key exchange."""
    macs: tuple[str, ...] = ()
    """Message authentication codes, for the ciphers that need one, that replace the policy's."""
    signatures: tuple[str, ...] = ()
    """Signature algorithms of users' keys and host keys that replace the policy's."""

    prefer_aead: bool = True
    """Offer AEAD ciphers alone to clients that know AES-GCM. Many of them list it last, and the client's
    order decides, although AES-GCM takes both sides the least CPU. To know what a client lists, the server
    waits for its list up to 0.5 s before it sends its own."""

    login_grace: Duration = timedelta(seconds=30)
    """A connection that has not logged in within this time is closed."""
    max_auth_attempts: int = Field(default=6, ge=1, le=100)
    """Maximum number of passwords that one connection may try, by `password` and `keyboard-interactive`
    together."""
    max_key_offers: int = Field(default=20, ge=1, le=1000)
    """Maximum number of public keys that one connection may offer; agents offer all that they have."""
    max_unauthenticated: int = Field(default=100, ge=1, le=100_000)
    """Maximum number of connections that log in at once; further ones wait for their turn. While others wait,
    a connection is closed in their favour: one that sends nothing, one whose source has several, or, after
    five seconds, the oldest."""
    max_unauthenticated_per_source: int = Field(default=20, ge=1, le=100_000)
    """The same limit for one address (IPv6: one /64 network). Further connections from it wait."""
    max_queued: int = Field(default=500, ge=0, le=100_000)
    """Maximum number of connections that wait for their turn to log in, each for at most `login_grace`. Each
    needs a file descriptor. When the limit is reached, connections that send nothing are closed first, then
    those of the source that has the most."""
    shared_sources: tuple[str, ...] = ()
    """Addresses and networks that stand for many clients, such as a NAT, or a load balancer that hides their
    addresses and cannot report them by `listen.proxy_protocol`. They are never banned, and
    `max_unauthenticated_per_source` and `max_connections_per_source` do not apply to them."""
    max_connections: int = Field(default=2000, ge=1, le=1_000_000)
    """Maximum number of connections in all."""
    max_connections_per_user: int = Field(default=500, ge=1, le=1_000_000)
    """Maximum number of connections of one user."""
    max_connections_per_source: int = Field(default=0, ge=0, le=1_000_000)
    """Maximum number of connections from one address (IPv6: one /64 network), logged in or not. Further ones
    are refused. It does not apply to `shared_sources`. 0: there is no limit, because many clients may be
    behind one address."""
    max_sessions_per_connection: int = Field(default=10, ge=1, le=10_000)
    """Maximum number of channels that one connection may have open at once."""
    idle_connection: Duration = timedelta(minutes=10)
    """A connection without any session is closed after this time; 0 never."""
    keepalive_interval: Duration = timedelta(seconds=30)
    """How often a silent client is sent a keepalive request, so that routers and load balancers do not forget
    the connection; 0 never."""
    keepalive_count: int = Field(default=4, ge=1, le=1000)
    """Unanswered keepalive requests in a row after which a client is disconnected, but not before an equally
    silent session would be ended by `sftp.idle_timeout`: single-threaded clients answer nothing while they
    compute. TCP detects clients that are gone."""
    tcp_timeout: Duration = timedelta(minutes=2)
    """A client is disconnected if its machine has acknowledged nothing for this long, neither data in flight
    (TCP_USER_TIMEOUT) nor TCP's keepalive on a quiet connection. A client that merely stops reading is not. 0
    leaves this to the system, which may take 15 minutes, or hours."""
    window_bytes: ByteSize = Field(default=2 << 20, ge=1 << 16, le=1 << 28)
    """How much a client may send on one channel before it has to wait for the server."""
    rekey_bytes: ByteSize = Field(default=1 << 30, ge=1 << 20, le=1 << 40)
    """Session keys are renewed after this much data."""

    fast_packets: bool = True
    """Send and receive data under AES-GCM by a faster implementation than asyncssh's, with the same bytes on
    the wire. If off, or with an unknown version of asyncssh, asyncssh's own code is used."""

    @field_validator("shared_sources")
    @classmethod
    def _shared_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return normalized_networks(texts)

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

    @model_validator(mode="after")
    def _approved_alone(self) -> Self:
        if self.algorithms != "fips":
            return self
        named = (self.extra_algorithms, self.key_exchanges, self.ciphers, self.macs, self.signatures)
        if refused := not_approved(name for names in named for name in names):
            raise ValueError(
                f'{", ".join(refused)}: algorithms = "fips" allows approved algorithms alone;'
                ' "modern" allows others'
            )
        return self

    @cached_property
    def offer(self) -> Offer:
        """The algorithms offered to clients: the policy, the lists and the additions combined."""
        lists: dict[Kind, tuple[str, ...]] = {
            "key_exchanges": self.key_exchanges,
            "ciphers": self.ciphers,
            "macs": self.macs,
            "signatures": self.signatures,
        }
        return offer_of(self.algorithms, lists, self.extra_algorithms)
