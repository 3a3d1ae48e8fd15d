"""The role that a mount is reached with, and which roles a storage lets mounts name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ROLE: Final = re.compile(r"arn:[a-z0-9-]+:iam:[^:]*:[^:]*:role/[\w+=,.@/-]{1,512}", re.ASCII)
_PATTERN: Final = re.compile(r"arn:[a-z0-9-]+:iam:[^:]*:[^:]*:role/[\w+=,.@/*-]{1,512}", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
EXAMPLE_OF_A_ROLE: Final = "arn:aws:iam::123456789012:role/sftp"
"""What the ARN of a role looks like, for texts."""


@dataclass(frozen=True, slots=True)
class MountRole:
    """A role of IAM that the server assumes for what a user does in a mount."""

    arn: str
    external_id: str | None = None
    """The external id that the role's trust asks for. It is no secret."""


def role_problem(arn: str) -> str | None:
    """The problem with the ARN of a role; None if there is none."""
    if _ROLE.fullmatch(arn):
        return None
    return f"should be the ARN of a role, like '{EXAMPLE_OF_A_ROLE}'"


def external_id_problem(text: str) -> str | None:
    """The problem with an external id; None if there is none."""
    if _EXTERNAL_ID.fullmatch(text):
        return None
    return "should be 2 to 1224 letters, digits and '+=,.@:/_-' characters"


def role_pattern_problem(pattern: str) -> str | None:
    """The problem with a pattern of roles; None if there is none."""
    if _PATTERN.fullmatch(pattern):
        return None
    return f"should be ARNs of roles, with '*' for any characters of one part, like '{EXAMPLE_OF_A_ROLE}-*'"


def is_allowed_role(arn: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns covers the role. `*` stands for any characters but `:`."""
    return any(
        re.fullmatch("[^:]*".join(map(re.escape, pattern.split("*"))), arn) is not None
        for pattern in patterns
    )
