"""Values of answers as others may have written them: what makes no sense is left out, or an error. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

_MOST: Final = (1 << 63) - 1
_DIGITS: Final = 19
_LONGEST_TAG: Final = 256
"""Characters of an ETag. S3's have 34, and a number of parts."""


def parse_http_date(text: str) -> datetime | None:
    """An HTTP date; what is none is left out, as `Expires` may be anything."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_xml_date(text: str) -> datetime | None:
    """A date in XML; None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return parse_http_date(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_date_or_none(value: Any) -> datetime | None:
    """What botocore's parser makes of a time in an answer; None for what is none, where it would raise."""
    if isinstance(value, str) and value.isdigit():  # it would be taken for seconds
        return None
    try:
        moment: datetime = parse_timestamp(value)
    except (ValueError, TypeError, OverflowError, OSError, RuntimeError):
        return None
    return moment


def parse_count(text: str) -> int:
    """A number of bytes or things. Raises ValueError for what cannot be one."""
    if len(text) <= _DIGITS and 0 <= (value := int(text)) <= _MOST:
        return value
    raise ValueError(f"{text[:_DIGITS]!r} is no such number")


def parse_count_or_none(text: str) -> int | None:
    """The same of what nothing depends on; None for what is none."""
    try:
        return parse_count(text)
    except ValueError:
        return None


def without_invalid_fields(api: str, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that botocore has read, without what makes no sense. Raises ResponseParserError."""
    if not 0 <= answer.get("ContentLength", 0) <= _MOST:
        if "Body" in answer:
            answer["Body"].close()
        raise unparsable_response(api, ValueError("ContentLength is no such number"))
    for line in answer.get("Contents", ()):
        if line.get("LastModified", line) is None:
            del line["LastModified"]
        if not 0 <= line.get("Size", 0) <= _MOST:
            raise unparsable_response(api, ValueError("Size is no such number"))
    return {name: value for name, value in answer.items() if value is not None}


def without_invalid_etags(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without an ETag that is none: names of versions are remembered, and sent in headers."""
    for each in (answer, *answer.get("Contents", ())):
        tag = each.get("ETag")
        if tag is not None and not is_valid_etag(tag):
            del each["ETag"]
    return answer


def is_valid_etag(text: str) -> bool:
    """Whether it may be the name of a version."""
    return len(text) <= _LONGEST_TAG and text.isascii() and text.isprintable()


def unparsable_response(api: str, error: ValueError) -> ResponseParserError | ValueError:
    """What to raise for an answer that botocore's parser has failed at."""
    return error if isinstance(error, BotoCoreError) else ResponseParserError(f"{api}: {error}")
