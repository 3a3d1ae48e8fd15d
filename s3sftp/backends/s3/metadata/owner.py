"""Says in an object's metadata who stored it. Pure."""

from __future__ import annotations

import string
from urllib.parse import quote

from s3sftp.backends.contract import Session
from s3sftp.backends.s3.options import PEER_METADATA, SESSION_METADATA, USER_METADATA

_READABLE = string.punctuation.replace("%", "")


def owner_metadata(session: Session) -> dict[str, str]:
    """The user, the session and the client's address. What cannot stand in a header as it is, such as letters
    that are not ASCII, is percent-encoded UTF-8."""
    texts = {
        USER_METADATA: session.user,
        SESSION_METADATA: session.session_id,
        PEER_METADATA: session.peer,
    }
    return {
        name: quote(text, safe=_READABLE, errors="surrogateescape") for name, text in texts.items() if text
    }
