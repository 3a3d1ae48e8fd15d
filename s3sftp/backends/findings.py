"""The result type of the probes that check a storage (`s3sftp check`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one probe."""

    what: str
    """What was tried, in a word or two."""
    state: State
    text: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty if there is nothing to do."""
