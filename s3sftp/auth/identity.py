"""The identity of a user who has logged in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

from s3sftp.auth.limits import NO_LIMITS, Limits
from s3sftp.auth.login_methods import ANY_ONE, LoginMethods
from s3sftp.auth.login_rules import NO_RULES, LoginRules
from s3sftp.fs import NO_QUOTA, AccessRules, Mount, Mounts, Quota, tree_problems

Attributes = Annotated[
    Mapping[str, str], AfterValidator(MappingProxyType), PlainSerializer(dict, return_type=dict[str, str])
]
"""Texts by name, read-only."""


class _WithTree:
    """Has room for the tree, which is no field: it follows from them."""

    __slots__ = ("_tree",)
    _tree: Mounts


@dataclass(frozen=True, slots=True)
class Identity(_WithTree):
    """A user who has authenticated, with prefix, rights and attributes."""

    user: str
    """The user's name in sessions, logs and limits, whatever name they logged in with."""
    prefix: str | None = ""
    """The prefix that the user sees as `/`: `"acme/inbox/"`, or empty for the whole storage. None: nothing is
    stored at `/`, which lists the mounts."""
    read_only: bool = False
    """Whether every right but `list` and `read` is taken away, whatever the rules say."""
    directories: tuple[str, ...] = ()
    """Directories that are listed even while they are empty."""
    attributes: Attributes = field(default_factory=lambda: MappingProxyType({}))
    """Further facts from authentication, such as a tenant id; passed to the storage."""
    rules: AccessRules = field(default_factory=AccessRules)
    """What the user may do in the whole tree. The default allows everything."""
    mounts: tuple[Mount, ...] = ()
    """Paths that lead to other prefixes, with rules of their own."""
    paths: tuple[tuple[str, AccessRules], ...] = ()
    """Rules of paths in the tree."""
    login_rules: LoginRules = NO_RULES
    """When and from where the user may log in."""
    login_methods: LoginMethods = ANY_ONE
    """What a login has to prove. An identity that an authenticator returns proves one factor of it."""
    limits: Limits = NO_LIMITS
    """How much the user may do at once and in a second. Where it says nothing, the server's configuration
    does."""

    quota: Quota = NO_QUOTA
    """How much may be stored below the prefix. Mounts have their own."""

    origin: str = field(default="", compare=False, repr=False)
    """Which account of which source of users has answered: the factors of a login prove one account only if
    this is the same for all of them."""

    def tree(self) -> Mounts:
        """The user's tree, which is built once: each login asks for it several times.

        Raises ConfigurationError: if it cannot be used, with all problems.
        """
        try:
            return self._tree
        except AttributeError:
            tree = self._built_tree()
        object.__setattr__(self, "_tree", tree)
        return tree

    def problems(self) -> list[str]:
        """Everything that is wrong with the user's tree, without building it."""
        return tree_problems(self.prefix, self.rules, self.directories, self.mounts, self.paths, self.quota)

    def _built_tree(self) -> Mounts:
        return Mounts.of(
            self.prefix,
            rules=self.rules,
            read_only=self.read_only,
            directories=self.directories,
            mounts=self.mounts,
            paths=self.paths,
            quota=self.quota,
        )
