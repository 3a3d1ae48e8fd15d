"""What a look at a storage has found, before it is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """What was tried, in a word or two."""
    state: State
    text: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty when there is nothing to do."""
