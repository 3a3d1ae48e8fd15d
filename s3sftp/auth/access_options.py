"""Options of a user's rights and mounts: of the whole tree, of `[users.NAME.paths."/PATH"]` and of
`[users.NAME.mounts."/PATH"]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from s3sftp.backends import MountRole
from s3sftp.backends.mount_role import external_id_problem, role_problem
from s3sftp.config import ByteSize, Options
from s3sftp.config.name_patterns import pattern_problem
from s3sftp.config.types import TEXT_OR_LIST
from s3sftp.fs import NO_QUOTA, AccessRules, OnConflict, Quota, Right, rights_of


def _words(value: object) -> object:
    """Accept a single word instead of a list; a text of several is separated by commas."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


_WORDS = BeforeValidator(_words)
Words = Annotated[tuple[str, ...], _WORDS, TEXT_OR_LIST]
"""A list of words, or one word, or a text of several separated by commas."""


def is_words(metadata: Iterable[object]) -> bool:
    """Whether an option with this metadata takes a text for a list: for code that documents options."""
    return _WORDS in metadata


def with_user(text: str, user: str) -> str:
    """The text with the user's name for `${user}` and `{user}`."""
    return text.replace("${user}", user).replace("{user}", user)


class AccessOptions(Options):
    """What a user may do at a path and everything below it, `[users.NAME.paths."/PATH"]`. What is not set is
    as for the directory above."""

    rights: Words | None = None
    """A preset, single rights, or several of both, such as `"drop-box"` or `["drop-box", "mkdir"]`. Presets:
    `read-write`, `read-only`, `pick-up`, `drop-box`. Rights: `list`, `read`, `write`, `overwrite`, `append`,
    `delete`, `rename`, `mkdir`, `rmdir`, `setstat`. Default: `read-write`. An empty list takes every right
    away."""
    allow: Words | None = None
    """Patterns of the only file names that may be used, such as `["*.csv", "*.csv.filepart"]`. Upper and
    lower case are the same. Default: every name."""
    deny: Words | None = None
    """Patterns of file names that may not be used. Such files are listed, but not read, stored or removed."""
    hide: Words | None = None
    """Patterns of names of files and directories that do not exist for the user: they are neither listed nor
    reached."""
    max_file_bytes: ByteSize | None = Field(default=None, ge=0)
    """The largest file that may be stored. An upload fails at the byte that goes beyond. 0, the default: any
    size."""
    on_conflict: OnConflict | None = None
    """What becomes of an upload, or a rename, to the name of a file. `overwrite`, the default: it replaces
    the file, if the user has the right to. `refuse`: it fails. `keep-both`: it gets another name,
    `report (2).csv`."""

    @field_validator("rights")
    @classmethod
    def _known_rights(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if words is not None:
            rights_of(words)
        return words

    @field_validator("allow", "deny", "hide")
    @classmethod
    def _usable_patterns(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for pattern in patterns or ():
            if (problem := pattern_problem(pattern)) is not None:
                raise ValueError(problem)
        return patterns

    @property
    def rules(self) -> AccessRules:
        """The options as rules."""
        rights: frozenset[Right] | None = None if self.rights is None else rights_of(self.rights)
        return AccessRules(rights, self.allow, self.deny, self.hide, self.max_file_bytes, self.on_conflict)


class QuotaOptions(Options):
    """How much may be stored, `quota`: of the user's prefix, or of a mount. See limits.md."""

    bytes: ByteSize | None = Field(default=None, ge=0)
    """The bytes of all files together, such as `"50 GiB"`. Whatever is below the prefix counts, whoever has
    stored it. An upload that goes beyond fails, and nothing of it is stored. 0, the default: any number."""
    files: Annotated[int, Field(ge=0)] | None = None
    """The number of files. Directories do not count. 0, the default: any number."""

    @property
    def quota(self) -> Quota:
        """The same as a value."""
        return NO_QUOTA if self is NO_QUOTA_OPTIONS else Quota(self.bytes or None, self.files or None)


NO_QUOTA_OPTIONS = QuotaOptions()
"""One for all tables without a quota, because there may be many."""


class MountOptions(AccessOptions):
    """A virtual path of the user that leads to a part of the storage, `[users.NAME.mounts."/PATH"]`."""

    prefix: str
    """What the path leads to, below the prefix of the storage: a directory such as `"partners/acme/in/"`, or
    with `file = true` the key of a file. `{user}` is replaced by the user's name."""
    file: bool = False
    """Whether a single file is mounted."""
    storage: str = ""
    """The storage that the path leads to, by its name in `[storages.NAME]`. Default: that of `[s3]`."""
    role_arn: str | None = None
    """A role of IAM that the server assumes for what the user does in this mount, with a session policy that
    allows the mount and nothing else. `{user}` is replaced by the user's name. The storage's `mount_roles`
    have to allow it. Default: the credentials of the storage."""
    external_id: str | None = None
    """External id that the trust of `role_arn` asks for; `{user}` is replaced. It is no secret."""
    quota: QuotaOptions = Field(default_factory=lambda: NO_QUOTA_OPTIONS)
    """How much may be stored there, such as `{ bytes = "50 GiB", files = 10000 }`."""

    @field_validator("prefix")
    @classmethod
    def _known_braces(cls, text: str) -> str:
        if any(brace in text.replace("{user}", "") for brace in "{}"):
            raise ValueError("should have no braces but those of {user}")
        return text

    @field_validator("role_arn")
    @classmethod
    def _role_is_one(cls, text: str | None) -> str | None:
        if text is not None and (problem := role_problem(with_user(text, "user"))) is not None:
            raise ValueError(problem)
        return text

    @field_validator("external_id")
    @classmethod
    def _external_id_is_one(cls, text: str | None) -> str | None:
        if text is not None and (problem := external_id_problem(with_user(text, "user"))) is not None:
            raise ValueError(problem)
        return text

    @model_validator(mode="after")
    def _external_id_has_a_role(self) -> MountOptions:
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id needs role_arn")
        return self

    def role_of(self, user: str) -> MountRole | None:
        """The role of the mount of the user with this name."""
        if self.role_arn is None:
            return None
        external_id = None if self.external_id is None else with_user(self.external_id, user)
        return MountRole(with_user(self.role_arn, user), external_id)
