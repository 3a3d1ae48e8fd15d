"""Answers the control socket's requests about bans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from s3sftp.auth import Ban, Defender
from s3sftp.errors import InvalidRequest


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ListBans(_Request):
    """Asks for the bans in force."""

    command: Literal["bans.list"]


class LiftBan(_Request):
    """Ends the ban of the source of an address."""

    command: Literal["bans.lift"]
    address: str


class AddBan(_Request):
    """Bans the source of an address."""

    command: Literal["bans.add"]
    address: str
    seconds: float = Field(gt=0, le=10 * 365 * 86400)


_REQUESTS: TypeAdapter[ListBans | LiftBan | AddBan] = TypeAdapter(
    Annotated[ListBans | LiftBan | AddBan, Field(discriminator="command")]
)


def answer_about_bans(defender: Callable[[], Defender | None], request: object) -> Mapping[str, Any]:
    """Answer one request: `bans` are those that it is about.

    Raises InvalidRequest: if it cannot be done; the text says why.
    Raises TooManyBans: if no more can be added.
    """
    try:
        asked = _REQUESTS.validate_python(request)
    except ValidationError:
        raise InvalidRequest("the server does not know this request: its version is another one") from None
    found = defender()
    if found is None:
        raise InvalidRequest("the server does not accept connections yet, or no more")
    match asked:
        case ListBans():
            return {"bans": [_shown(ban, seconds) for ban, seconds in found.bans()]}
        case LiftBan(address=address):
            return {"lifted": found.lift(address)}
        case AddBan(address=address, seconds=seconds):
            return {"bans": [_shown(found.ban(address, seconds), seconds)]}


def _shown(ban: Ban, remaining: float) -> dict[str, Any]:
    until = datetime.now(UTC) + timedelta(seconds=remaining)
    return {
        "source": ban.source,
        "reason": str(ban.reason),
        "score": ban.score,
        "number": ban.number,
        "seconds": ban.seconds,
        "remaining_seconds": round(remaining, 1),
        "until": until.isoformat(timespec="seconds"),
        "replica": ban.replica,
    }
