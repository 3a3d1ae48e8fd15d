"""Several sources of users: who is asked for whom."""

from __future__ import annotations

from typing import cast

import asyncssh

from s3sftp.auth import Authenticator, Certificate, ChainedUsers, Identity, KnownUsers

KEY = asyncssh.generate_private_key("ssh-ed25519")
CERTIFICATE = cast("Certificate", object())


class Source(Authenticator):
    """Knows one user and their password, and notes each question."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self.password = user, password
        self.asked: list[str] = []

    async def source_of(self, user: str) -> Source | None:
        return self if user == self.user else None

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        self.asked.append(user)
        return Identity(user) if (user, password) == (self.user, self.password) else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        self.asked.append(user)
        return None

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        self.asked.append(user)
        return Identity(user) if user == self.user else None

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        self.asked.append(user)
        return Identity(user) if user == self.user else None


class KeysAlone(Authenticator):
    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return None


async def test_a_user_of_the_first_source_is_never_asked_for_at_the_next() -> None:
    first, last = Source("alice", "right"), Source("alice", "wrong")
    chain = ChainedUsers([first], last)
    assert await chain.by_password("alice", "right", "192.0.2.1") == Identity("alice")
    assert await chain.by_password("alice", "wrong", "192.0.2.1") is None
    assert await chain.by_public_key("alice", KEY, "192.0.2.1") is None
    assert await chain.by_certificate("alice", CERTIFICATE, "192.0.2.1") == Identity("alice")
    assert await chain.by_code("alice", "000000", "192.0.2.1") == Identity("alice")
    assert (len(first.asked), last.asked) == (5, [])


async def test_a_certificate_or_a_code_of_a_user_of_the_last_source_is_asked_of_it_alone() -> None:
    first, last = Source("alice", "a"), Source("bob", "b")
    chain = ChainedUsers([first], last)
    assert await chain.by_certificate("bob", CERTIFICATE, "192.0.2.1") == Identity("bob")
    assert await chain.by_code("bob", "000000", "192.0.2.1") == Identity("bob")
    assert (first.asked, last.asked) == ([], ["bob", "bob"])


def test_a_chain_passes_on_everything_that_can_be_asked_of_an_authenticator() -> None:
    questions = {name for name in vars(Authenticator) if name.startswith(("by_", "accepts_"))}
    assert questions
    assert questions <= vars(ChainedUsers).keys()
    offered = {name for name in questions if name.startswith("accepts_")}
    assert offered <= vars(KnownUsers).keys()


async def test_a_user_whom_no_earlier_source_knows_is_asked_for_at_the_last_alone() -> None:
    sources = [Source("alice", "a"), Source("bob", "b"), Source("carol", "c")]
    chain = ChainedUsers(sources[:2], sources[2])
    assert await chain.by_password("carol", "c", "192.0.2.1") == Identity("carol")
    assert await chain.by_password("bob", "b", "192.0.2.1") == Identity("bob")
    assert [source.asked for source in sources] == [[], ["bob"], ["carol"]]


async def test_a_user_who_gets_an_earlier_source_while_a_later_one_answers_is_refused() -> None:
    first, last = Source("alice", "a"), Source("bob", "b")

    async def answer(user: str, _password: str, _address: str) -> Identity | None:
        first.user = "bob"
        return Identity(user)

    last.by_password = answer  # type: ignore[method-assign]
    chain = ChainedUsers([first], last)
    assert await chain.by_password("bob", "b", "192.0.2.1") is None


def test_a_method_is_offered_if_any_source_has_it() -> None:
    assert ChainedUsers([Source("alice", "a")], KeysAlone()).accepts_passwords
    assert not ChainedUsers([], KeysAlone()).accepts_passwords
    assert ChainedUsers([], KeysAlone()).accepts_public_keys
    assert ChainedUsers([Source("alice", "a")], KeysAlone()).accepts_codes
    assert not ChainedUsers([], KeysAlone()).accepts_codes
