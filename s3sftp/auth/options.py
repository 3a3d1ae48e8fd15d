"""Options of the `[auth]` group."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator

from s3sftp.auth.address_patterns import normalized_networks
from s3sftp.auth.login_rules import Networks
from s3sftp.auth.user_options import KeyLines
from s3sftp.config import DIVIDED, Duration, LocalPath, Options, PositiveDuration


class AuthOptions(Options):
    """Where users are defined, and how failed logins are refused and banned."""

    users_file: LocalPath | None = None
    """A TOML or YAML file with more `[users.NAME]` and `[groups.NAME]` tables, which keeps secrets apart from
    the configuration."""
    users_dir: LocalPath | None = None
    """A directory whose files `*.toml`, `*.yaml` and `*.yml` have more of these tables, for example one file
    per user. Hidden files are not read. The directory may be empty while there are no users yet."""
    networks: Networks | None = None
    """Addresses that users may log in from: networks, addresses, IPv4 wildcards, and exceptions with `!`. A
    user's own `networks` can only narrow them. Default: all. Logins from elsewhere fail like those with a
    wrong password."""
    trusted_user_ca_keys: KeyLines = ()
    """Public keys of CAs whose OpenSSH certificates log users in, as lines of an authorized_keys file; the
    options `from` and `expiry-time` apply to all certificates of the CA. A certificate needs the user's name
    among its principals, or one of `principals` of the user; the user needs no key."""
    trusted_user_ca_keys_file: LocalPath | None = None
    """A file of such keys. It is read again when it changes."""
    revoked_keys: LocalPath | None = None
    """A list of what is revoked: a Key Revocation List of `ssh-keygen -k`, or lines of public keys,
    `serial:`, `id:` and `hash:`. It applies to keys, CAs and certificates, and is looked at for each login.
    The server does not start with a list that it cannot use; later, no key and no certificate logs in while
    that is so."""
    ban_failures: int = Field(default=20, ge=0, le=1_000_000)
    """Points of one source within `ban_window` that cause a ban; 0 disables bans. A failed login is one
    point, more with `ban_points_other_user`. If a load balancer hides clients' addresses, have it report them
    (`listen.proxy_protocol`), or list its own addresses in `ssh.shared_sources`: these are not banned."""
    ban_window: Duration = timedelta(minutes=10)
    """How long an offence counts towards a ban, and a wrong password towards `user_failures`."""
    ban_time: Duration = timedelta(minutes=10)
    """How long a banned source is refused, before any cryptography, the first time."""
    ban_max_time: Duration = timedelta(days=1)
    """Each further ban of a source lasts twice as long as the one before, at most this long. If it is less
    than `ban_time`, every ban lasts for `ban_time`."""
    ban_memory: Duration = timedelta(days=1)
    """How long after the end of a ban the next one counts as a further ban."""
    ban_points_other_user: int = Field(default=1, ge=0, le=1_000_000)
    """Further points of a failed login whose user name is another than those that the source has failed with
    within `ban_window`, whether such users exist or not: who tries many names has a list of them."""
    ban_points_protocol: int = Field(default=1, ge=0, le=1_000_000)
    """Points of a connection that sent something else than SSH, such as an HTTP request, or broke the
    protocol before its first attempt to log in. A connection that sent nothing is a health check, and one
    without a common algorithm an old client: neither counts."""
    ban_points_no_login: int = Field(default=0, ge=0, le=1_000_000)
    """Points of an SSH client that closed its connection without an attempt to log in. Port scanners do that,
    but so do monitoring and `ssh-keyscan`: list those in `never_banned` before you set this."""
    never_banned: tuple[str, ...] = ()
    """Addresses and networks that are never banned, and to which `user_failures` does not apply, such as your
    own monitoring. Limits of connections apply to them, unlike to `ssh.shared_sources`."""
    user_failures: int = Field(default=100, ge=0, le=1_000_000)
    """Wrong passwords and verification codes for one user name, from all sources, within `ban_window`; beyond
    that, only sources that have logged in as this user since the server's start may try one. Keys are not
    affected. 0: there is no limit."""
    max_tracked_sources: int = Field(default=10_000, ge=100, le=10_000_000)
    """Maximum number of sources remembered, separately for offences, for bans and for logins; the one that
    has been quiet longest is forgotten first. Also the number of user names for `user_failures`."""
    refusal_time: Duration = timedelta(seconds=0.25)
    """How long the refusal of a password takes, whatever its reason. If recent answers of the authenticator
    took longer, the refusal takes the smallest multiple of this time that covers the slowest of them.
    Refusing a key takes a tenth of it, because agents offer many keys. 0: refusals are sent as soon as they
    are ready."""
    answer_timeout: PositiveDuration = timedelta(seconds=20)
    """A login that the authenticator has not answered within this time is refused."""
    password_threads: Annotated[int, DIVIDED] = Field(default=2, ge=1, le=64)
    """Passwords verified at once; each needs the memory that its hash asks for (64 MiB by default). The
    workers share this number, with at least one each."""

    @field_validator("never_banned")
    @classmethod
    def _networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return normalized_networks(texts)

    @property
    def trusts_authorities(self) -> bool:
        """Whether any CA may certify the keys of all users."""
        return bool(self.trusted_user_ca_keys or self.trusted_user_ca_keys_file)
