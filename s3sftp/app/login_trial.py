"""A login that is only tried: the credentials of a client, asked of the real gateway and chain of sources.

    credentials ──► AuthGateway ──► chain of sources      as for a client, but without a connection
         ▲               │ refused: why, for the operator
         └── LoginSteps ◄┘ proven: what may come next

The credentials are presented as a client would: in the order that the user's `methods` ask for. What only a
client can show is taken for granted: that it has the private key. Nothing is counted towards a ban.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncssh
from asyncssh.saslprep import SASLPrepError, saslprep

from s3sftp.auth import (
    Authenticator,
    AuthGateway,
    AuthResult,
    Certificate,
    ChainedUsers,
    ConfiguredUsers,
    Factor,
    Factors,
    Identity,
    KnownUsers,
)
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.login_time import login_time
from s3sftp.errors import UsersUnavailable
from s3sftp.ssh.algorithms import Offer, advice_for
from s3sftp.ssh.login_steps import LoginStep, LoginSteps
from s3sftp.ssh.signature_algorithms import accepted_signatures

_MOST_KEYS = 20
"""Keys of the user that a refusal names."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client presents."""

    user: str
    address: str
    keys: Sequence[asyncssh.SSHKey | Certificate] = ()
    password: str | None = field(default=None, repr=False)
    code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TriedCredential:
    """One credential, and what became of it."""

    factor: Factor
    name: str
    """For people: `key`, `certificate`, `password` or `code`."""
    shown: str
    """A key's type and fingerprint, and a certificate's ID; empty for secrets."""
    state: str
    """`accepted`, `refused`, `unanswered` (a source could not say), or `not asked` (nothing asked for it)."""
    reason: str | None = None
    user_keys: Sequence[str] = ()
    """The keys that the user has, if the one presented is not among them."""


@dataclass(frozen=True, slots=True)
class TriedLogin:
    """Who the login would be, or why it would be refused."""

    user: str
    source: str | None
    """The source that answers for this name."""
    tried: Sequence[TriedCredential]
    proven: Factors
    missing: Sequence[Factors]
    """What has to follow, as alternatives; empty if the login is complete, or nothing is proven."""
    identity: Identity | None
    """None: refused."""


class LoginTrial:
    """Tries one login."""

    def __init__(
        self,
        gateway: AuthGateway,
        sources: Authenticator,
        offer: Offer,
        complaints: Callable[[], Sequence[str]],
    ) -> None:
        """`gateway` asks `sources`. `complaints`: what has been logged since its last call, which has the
        reason why a source could not answer."""
        self._gateway = gateway
        self._sources = sources
        self._offer = offer
        self._complaints = complaints

    async def run(self, given: Credentials) -> TriedLogin:
        """Present the credentials until the login is complete, or none of them is accepted any more."""
        user = _prepared(given.user)
        steps = LoginSteps()
        steps.begin(user)
        left = _credentials(given)
        tried: list[TriedCredential] = []
        identity: Identity | None = None
        refused: dict[int, TriedCredential] = {}
        while not steps.are_complete:
            for number, (factor, value) in left.items():
                if not steps.may_try(factor) or (factor == "totp" and not steps.proven):
                    continue
                result = await self._ask(user, given.address, factor, value, steps.proven)
                if result.identity is not None and (why := self._unusable(value)) is None:
                    step = LoginStep(factor, factor)
                    if steps.prove(user, result.identity, step):
                        identity = result.identity
                        tried.append(_described(factor, value, "accepted"))
                        del left[number]
                        refused.clear()
                        break
                elif result.identity is not None:
                    refused[number] = _described(factor, value, "refused", why)
                else:
                    refused[number] = await self._refused(user, given.address, factor, value, result)
            else:
                break
        for number, (factor, value) in left.items():
            tried.append(
                refused.get(number) or _described(factor, value, "not asked", _why_not(factor, steps))
            )
        return TriedLogin(
            user=identity.user if identity is not None else user,
            source=await self._source_of(user),
            tried=tried,
            proven=steps.proven,
            missing=_missing(identity, steps),
            identity=identity if steps.are_complete else None,
        )

    async def _ask(
        self, user: str, address: str, factor: Factor, value: _Value, proven: Factors
    ) -> AuthResult:
        if isinstance(value, Certificate):
            accepted = self._offer.authority_signatures
            return await self._gateway.certificate(user, value, address, accepted, proven)
        if isinstance(value, asyncssh.SSHKey):
            return await self._gateway.public_key(user, value, address, proven)
        if factor == "totp":
            return await self._gateway.code(user, value, address, proven)
        try:
            password = saslprep(value)
        except SASLPrepError:
            return AuthResult(None, reason="the password has characters that no password may have (SASLprep)")
        return await self._gateway.password(user, password, address, proven)

    def _unusable(self, value: _Value) -> str | None:
        """Why the server accepts no signature of a key, although it is the user's."""
        if isinstance(value, str):
            return None
        key = value.key if isinstance(value, Certificate) else value
        if accepted_signatures(key, self._offer.signatures):
            return None
        names = tuple(sorted(name.decode("ascii") for name in key.all_sig_algorithms))
        return f"the server accepts no signature of such a key: {advice_for(names, self._offer.policy)}"

    async def _refused(
        self, user: str, address: str, factor: Factor, value: _Value, result: AuthResult
    ) -> TriedCredential:
        if result.broken:
            told = "; ".join(self._complaints())
            reason = result.reason or told or "the source of users gave no answer"
            return _described(factor, value, "unanswered", reason)
        if result.reason is not None:
            return _described(factor, value, "refused", result.reason)
        source = await self._source(user)
        if isinstance(source, ConfiguredUsers) and user not in source.accounts:
            return _described(factor, value, "refused", "there is no such user")
        if isinstance(value, asyncssh.SSHKey):
            keys = await _keys_of(source, user, address)
            reason = f"{_name(source)} refuses it" if keys is None else _why_key(value, keys, address)
            own = [each for each in keys or () if not each.is_authority][:_MOST_KEYS]
            shown = [f"{each.algorithm} {each.fingerprint}" for each in own]
            return _described(factor, value, "refused", reason, shown)
        return _described(factor, value, "refused", _why_secret(source, user, factor))

    async def _source(self, user: str) -> KnownUsers | Authenticator:
        if not isinstance(self._sources, ChainedUsers):
            return self._sources
        try:
            return await self._sources.source_of(user)
        except UsersUnavailable:
            return _Silent()

    async def _source_of(self, user: str) -> str | None:
        source = await self._source(user)
        if isinstance(source, ConfiguredUsers) and user not in source.accounts:
            return None
        return _name(source)


class _Silent(Authenticator):
    """A source that did not say whether the user is its own."""

    source_name = "a source that gave no answer"


_Value = asyncssh.SSHKey | Certificate | str


def _credentials(given: Credentials) -> dict[int, tuple[Factor, _Value]]:
    """In the order in which OpenSSH presents them: certificates, keys, the password, the code."""
    of_keys = sorted(given.keys, key=lambda key: not isinstance(key, Certificate))
    found: list[tuple[Factor, _Value]] = [("publickey", key) for key in of_keys]
    if given.password is not None:
        found.append(("password", given.password))
    if given.code is not None:
        found.append(("totp", given.code))
    return dict(enumerate(found))


def _prepared(user: str) -> str:
    try:
        return str(saslprep(user))
    except SASLPrepError:
        return user


def _described(
    factor: Factor, value: _Value, state: str, reason: str | None = None, user_keys: Sequence[str] = ()
) -> TriedCredential:
    if isinstance(value, Certificate):
        key = value.key
        shown = f"{value.key_id!r}, serial {value.serial}, for {_key(key)}, of the CA {_key(value.authority)}"
        return TriedCredential(factor, "certificate", shown, state, reason)
    if isinstance(value, asyncssh.SSHKey):
        return TriedCredential(factor, "key", _key(value), state, reason, user_keys)
    return TriedCredential(factor, "code" if factor == "totp" else "password", "", state, reason)


def _key(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def _name(source: object) -> str:
    return str(getattr(source, "source_name", type(source).__name__))


async def _keys_of(source: object, user: str, address: str) -> Sequence[AuthorizedKey] | None:
    """The user's keys; None if the source cannot say."""
    ask = getattr(source, "keys_of", None)
    if ask is None:
        return None
    try:
        keys: Sequence[AuthorizedKey] = await ask(user, address)
    except UsersUnavailable:
        return None
    return keys


def _why_key(key: asyncssh.SSHKey, keys: Sequence[AuthorizedKey], address: str) -> str:
    """Why none of the user's keys is this one, or the one that is does not open the account now."""
    same = [entry for entry in keys if entry.public_data == key.public_data]
    if any(entry.is_authority for entry in same):
        return "the key is a CA of the user: its certificates log in, not the key itself"
    if not same:
        own = sum(not entry.is_authority for entry in keys)
        return "it is none of the user's keys" if own else "the user has no key"
    if all(entry.expires is not None and login_time() >= entry.expires for entry in same):
        return "the key is the user's, but its expiry-time has passed"
    return f'the key is the user\'s, but its from="…" does not allow {address or "an unknown address"}'


def _why_secret(source: object, user: str, factor: Factor) -> str:
    if factor == "totp":
        return "the verification code is wrong at this time"
    if not isinstance(source, ConfiguredUsers):
        return f"{_name(source)} refuses it"
    has_one = source.accounts[user].password_hash is not None
    return "the password is wrong" if has_one else "the user has no password (password_hash)"


def _why_not(factor: Factor, steps: LoginSteps) -> str:
    if steps.are_complete:
        return "the login is complete without it, so it was not checked"
    if not steps.proven:
        return "a code is asked for after another factor"
    return f"{factor} is not what comes next after {'+'.join(steps.proven)}"


def _missing(identity: Identity | None, steps: LoginSteps) -> Sequence[Factors]:
    if identity is None or steps.are_complete:
        return ()
    done = len(steps.proven)
    return [each[done:] for each in identity.login_methods.combinations if each[:done] == steps.proven]
