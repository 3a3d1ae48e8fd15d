"""Options of the `[auth]` group."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

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
    """Failed logins from one source within `ban_window` that cause a ban; 0 disables bans. If a load balancer
    hides clients' addresses, have it report them (`listen.proxy_protocol`), or list its own addresses in
    `ssh.shared_sources`: these are not banned."""
    ban_window: Duration = timedelta(minutes=10)
    """How long a failed login counts towards a ban."""
    ban_time: Duration = timedelta(minutes=10)
    """How long a banned source is refused, before any cryptography."""
    max_tracked_sources: int = Field(default=10_000, ge=100, le=10_000_000)
    """Maximum number of sources remembered; the one that has been quiet longest is forgotten first."""
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

    @property
    def trusts_authorities(self) -> bool:
        """Whether any CA may certify the keys of all users."""
        return bool(self.trusted_user_ca_keys or self.trusted_user_ca_keys_file)
