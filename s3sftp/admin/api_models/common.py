"""What the models of all calls have in common, and answers that belong to no resource."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_ITEMS = 1000
"""The largest `limit` of a list."""

Text = Annotated[str, StringConstraints(max_length=256)]
Limit = Annotated[int, Field(ge=1, le=MAX_ITEMS)]


class ApiAnswer(BaseModel):
    """What is answered. Fields are always all there."""

    model_config = ConfigDict(frozen=True)


Entry = TypeVar("Entry", bound=ApiAnswer)


class ApiInput(BaseModel):
    """What is asked: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(ApiAnswer):
    """Why a request was refused or failed, by RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Accepted(ApiAnswer):
    """What has begun and is not done yet."""

    accepted: Literal[True] = True
    detail: str = ""


class LimitQuery(ApiInput):
    """How many."""

    limit: Limit = 100
