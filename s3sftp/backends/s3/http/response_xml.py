"""Parses the XML of frequent replies, with botocore's field names and faster than botocore. Pure.

A page of a listing is a thousand keys at once. botocore's parser, which consults the model for each field,
takes ten times as long and blocks the event loop meanwhile. rclone has a copy made for each small file that
it uploads, and botocore spent longer on the time in its reply than on the rest.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, XMLParser

from botocore.compat import unquote_str

from s3sftp.backends.s3.http.response_fields import parse_count, parse_xml_date


def parse_list_page(text: bytes) -> dict[str, Any]:
    """Parse the fields of a page that the server uses. Raises ValueError: if it is no page.

    Names are returned decoded if the store has encoded them as requested: XML cannot hold every character.
    """
    root = _root(text)
    if _name(root) != "ListBucketResult":
        raise ValueError(f"a page of a listing begins with {_name(root)}")
    page: dict[str, Any] = {"Contents": [], "CommonPrefixes": []}
    is_encoded = False
    for child in root:
        match _name(child):
            case "Contents":
                page["Contents"].append({_name(each): each.text or "" for each in child})
            case "CommonPrefixes":
                page["CommonPrefixes"].append({_name(each): each.text or "" for each in child})
            case "NextContinuationToken" | "NextMarker" as said:
                page[said] = child.text or ""
            case "IsTruncated":
                page["IsTruncated"] = child.text == "true"
            case "Name" | "KeyCount" | "MaxKeys" as said:
                page[said] = child.text or ""
            case "EncodingType":
                is_encoded = child.text == "url"
    _understand(page, is_encoded=is_encoded)
    return page


def parse_copy_result(text: bytes) -> dict[str, Any]:
    """Parse a reply to CopyObject. Raises ValueError: if it does not identify the copy."""
    root = _root(text)
    if _name(root) != "CopyObjectResult":
        raise ValueError(f"the reply to a copy begins with {_name(root)}")
    result: dict[str, Any] = {_name(each): each.text or "" for each in root}
    _date(result)
    return {"CopyObjectResult": result}


def _understand(page: dict[str, Any], *, is_encoded: bool) -> None:
    for line in page["Contents"]:
        if is_encoded and "Key" in line:
            line["Key"] = unquote_str(line["Key"])
        if size := line.pop("Size", ""):
            line["Size"] = parse_count(size)
        _date(line)
    if is_encoded:
        for line in page["CommonPrefixes"]:
            line |= {name: unquote_str(text) for name, text in line.items()}
        if "NextMarker" in page:
            page["NextMarker"] = unquote_str(page["NextMarker"])


def _date(line: dict[str, Any]) -> None:
    """Parse the time of an entry; an invalid one is left out."""
    if "LastModified" in line and (moment := parse_xml_date(line.pop("LastModified"))) is not None:
        line["LastModified"] = moment


def _root(text: bytes) -> Element:
    parser = XMLParser()  # noqa: S314 botocore reads the XML of this store in the same way
    try:
        parser.feed(text)
        return parser.close()
    except SyntaxError as error:  # the base class of ElementTree's ParseError
        raise ValueError(f"not XML: {error}") from error


def _name(element: Element) -> str:
    """Return a tag without its namespace, which some stores leave out."""
    return element.tag.rpartition("}")[2]
