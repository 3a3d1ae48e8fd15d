"""The texts of the answers that come by the thousand, in botocore's words. Pure.

A page of a listing is a thousand keys in one go: botocore's own parser, which goes by the model for each
field, takes ten times as long and holds up everybody meanwhile. Copies are made for each small file that
rclone uploads, and the time in one took botocore longer than the rest of the answer.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, XMLParser

from botocore.compat import unquote_str

from s3sftp.backends.s3.http.response_fields import parse_count, parse_xml_date


def parse_list_page(text: bytes) -> dict[str, Any]:
    """The fields of a page that the server goes by. Raises ValueError for what is no page.

    Names come decoded, if the store has encoded them, as it was asked to: XML cannot hold every character.
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
    """The fields of an answer to CopyObject. Raises ValueError for what says of no copy which one it is."""
    root = _root(text)
    if _name(root) != "CopyObjectResult":
        raise ValueError(f"the answer to a copy begins with {_name(root)}")
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
    """Its time; what is none is left out."""
    if "LastModified" in line and (moment := parse_xml_date(line.pop("LastModified"))) is not None:
        line["LastModified"] = moment


def _root(text: bytes) -> Element:
    parser = XMLParser()  # noqa: S314  of the store that has the files, as botocore reads it
    try:
        parser.feed(text)
        return parser.close()
    except SyntaxError as error:  # ElementTree's ParseError is one
        raise ValueError(f"not XML: {error}") from error


def _name(element: Element) -> str:
    """Without the namespace, which some stores leave out."""
    return element.tag.rpartition("}")[2]
