"""Makes the requests to the hook, in the forms that AWS Transfer Family uses. Pure: no clock, no socket.

    post           POST url
                   {"username": …, "password": …, "protocol": "SFTP", "serverId": …, "sourceIp": …}
    api-gateway    GET url/servers/<serverId>/users/<username>/config?protocol=SFTP&sourceIp=…
                   Password: …    PasswordBase64: …

A login by public key has an empty password; the answer has the keys. Sources: AWS Transfer Family User Guide,
"Using AWS Lambda to integrate your identity provider" and "Using Amazon API Gateway to integrate your
identity provider".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from s3sftp.auth.hook.options import HookOptions

_SIGNATURE = "S3sftp-Signature"
_TIMESTAMP = "S3sftp-Timestamp"


@dataclass(frozen=True, slots=True)
class Question:
    """Who wants to log in."""

    user: str
    address: str
    password: str = field(default="", repr=False)
    """Empty for a login by public key."""

    @property
    def texts(self) -> tuple[str, str, str]:
        """All that an answer depends on."""
        return self.user, self.address, self.password


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One HTTP request."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    signed: bytes = field(default=b"", repr=False)
    """What a signature covers besides method and target: the body, or the password of an `api-gateway`
    request."""


def make_request(question: Question, options: HookOptions) -> HookRequest:
    """The request for a login, unsigned."""
    if options.style == "api-gateway":
        return _gateway_request(question, options)
    body = json.dumps(
        {
            "username": question.user,
            "password": question.password,
            "protocol": "SFTP",
            "serverId": options.server_id,
            "sourceIp": question.address,
        }
    ).encode("ascii")
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    return HookRequest("POST", options.url, headers, body, body)


def _gateway_request(question: Question, options: HookOptions) -> HookRequest:
    at = urlsplit(options.url)
    path = f"{at.path.rstrip('/')}/servers/{options.server_id}/users/{quote(question.user, safe='')}/config"
    query = urlencode({"protocol": "SFTP", "sourceIp": question.address})
    url = at._replace(path=path, query=f"{at.query}&{query}" if at.query else query).geturl()
    password = question.password.encode("utf-8", "surrogatepass")
    headers = {"Accept": "application/json"}
    if password:
        headers["PasswordBase64"] = base64.b64encode(password).decode("ascii")
        if question.password.isascii() and question.password.isprintable():
            headers["Password"] = question.password
    return HookRequest("GET", url, headers, b"", password)


def signature_headers(request: HookRequest, key: bytes, now: int) -> dict[str, str]:
    """The headers that sign a request. `now` is in seconds since 1970."""
    at = urlsplit(request.url)
    target = (at.path or "/") + (f"?{at.query}" if at.query else "")
    text = f"{now}\n{request.method}\n{target}\n".encode() + request.signed
    digest = hmac.new(key, text, hashlib.sha256).hexdigest()
    return {_TIMESTAMP: str(now), _SIGNATURE: f"v1={digest}"}
