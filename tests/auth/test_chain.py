"""Several sources of users: who is asked for whom."""

from __future__ import annotations

import asyncssh

from s3sftp.auth import Authenticator, ChainedUsers, Identity

KEY = asyncssh.generate_private_key("ssh-ed25519")


class Source(Authenticator):
    """Knows one user and their password, and notes each question."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self.password = user, password
        self.asked: list[str] = []

    async def knows(self, user: str) -> bool:
        return user == self.user

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        self.asked.append(user)
        return Identity(user) if (user, password) == (self.user, self.password) else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        self.asked.append(user)
        return None


class KeysAlone(Authenticator):
    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return None


async def test_a_user_of_the_first_source_is_never_asked_for_at_the_next() -> None:
    first, last = Source("alice", "right"), Source("alice", "wrong")
    chain = ChainedUsers([first], last)
    assert await chain.by_password("alice", "right", "192.0.2.1") == Identity("alice")
    assert await chain.by_password("alice", "wrong", "192.0.2.1") is None
    assert await chain.by_public_key("alice", KEY, "192.0.2.1") is None
    assert (len(first.asked), last.asked) == (3, [])


async def test_a_user_whom_no_earlier_source_knows_is_asked_for_at_the_last_alone() -> None:
    sources = [Source("alice", "a"), Source("bob", "b"), Source("carol", "c")]
    chain = ChainedUsers(sources[:2], sources[2])
    assert await chain.by_password("carol", "c", "192.0.2.1") == Identity("carol")
    assert await chain.by_password("bob", "b", "192.0.2.1") == Identity("bob")
    assert [source.asked for source in sources] == [[], ["bob"], ["carol"]]


def test_a_method_is_offered_if_any_source_has_it() -> None:
    assert ChainedUsers([Source("alice", "a")], KeysAlone()).accepts_passwords
    assert not ChainedUsers([], KeysAlone()).accepts_passwords
    assert ChainedUsers([], KeysAlone()).accepts_public_keys
