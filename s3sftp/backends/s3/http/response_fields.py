"""Parses values of replies that may be invalid: they are left out, or raise an error. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

_MOST: Final = (1 << 63) - 1
_DIGITS: Final = 19
_REMEMBERED_DATES: Final = 64
"""HTTP dates that need not be parsed again: replies of one second, and of one object, repeat them."""
_LONGEST_TAG: Final = 256
"""Maximum characters of an ETag. S3's have 34, plus a number of parts."""


@lru_cache(maxsize=_REMEMBERED_DATES)
def parse_http_date(text: str) -> datetime | None:
    """Parse an HTTP date. None if it is invalid, as `Expires` may contain anything."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_xml_date(text: str) -> datetime | None:
    """Parse a date in XML. None if it is invalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return parse_http_date(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_date_or_none(value: Any) -> datetime | None:
    """Parse a time for botocore's parser. None if it is invalid, where botocore would raise."""
    if isinstance(value, str) and value.isdigit():  # botocore would take digits for seconds
        return None
    try:
        moment: datetime = parse_timestamp(value)
    except (ValueError, TypeError, OverflowError, OSError, RuntimeError):
        return None
    return moment


def parse_count(text: str) -> int:
    """Parse a number of bytes or items. Raises ValueError: if it is invalid."""
    if len(text) <= _DIGITS and 0 <= (value := int(text)) <= _MOST:
        return value
    raise ValueError(f"{text[:_DIGITS]!r} is no such number")


def parse_count_or_none(text: str) -> int | None:
    """Parse a number on which nothing depends. None if it is invalid."""
    try:
        return parse_count(text)
    except ValueError:
        return None


def without_invalid_fields(api: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return a reply from botocore without its invalid values.

    Raises ResponseParserError: if a size is invalid.
    """
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
    """Return a reply without an invalid ETag, because versions are stored and sent in headers."""
    for each in (answer, *answer.get("Contents", ())):
        tag = each.get("ETag")
        if tag is not None and not is_valid_etag(tag):
            del each["ETag"]
    return answer


def is_valid_etag(text: str) -> bool:
    """Whether a text may be the name of a version."""
    return len(text) <= _LONGEST_TAG and text.isascii() and text.isprintable()


def unparsable_response(api: str, error: ValueError) -> ResponseParserError | ValueError:
    """Return what to raise for a reply on which botocore's parser has failed."""
    return error if isinstance(error, BotoCoreError) else ResponseParserError(f"{api}: {error}")


def header_text(value: bytes) -> str:
    """Decode a header value. `header_bytes` restores the same bytes, whatever they are."""
    return value.decode("utf-8", "surrogateescape")


def header_bytes(text: str) -> bytes:
    """Encode a header value as it is sent."""
    return text.encode("utf-8", "surrogateescape")
