"""The files of the console, the page for operators. They are in `console/` beside this module.

They are the same for everybody and contain nothing of this server, so they need no token: what the page
shows, it asks the API for. The Content-Security-Policy lets it run its own files alone and speak to its own
server alone, and nobody may show it in a frame. With Trusted Types, the browser itself refuses HTML that is
made of text.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final, Literal

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

PATH: Final = "/console"
SignIn = Literal["token", "none", "off"]
"""Whether the page asks for a token before its first request, tries without one, because the browser may have
a client certificate, or says that there is no API."""
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_SIGN_IN = b'data-sign-in="token"'
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    # the form that asks for the token is read by the page and never sent
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ConsoleFiles:
    """The files by path. They are read once, when this is made: they are 60 kB."""

    def __init__(self, sign_in: SignIn) -> None:
        self._files = {
            PATH if file.name == "index.html" else f"{PATH}/{file.name}": file.read_bytes()
            for file in files("s3sftp.admin").joinpath("console").iterdir()
            if file.name.rpartition(".")[2] in _TYPES
        }
        self._files[PATH] = self._files[PATH].replace(_SIGN_IN, f'data-sign-in="{sign_in}"'.encode())

    def has(self, path: str) -> bool:
        return path in self._files or path == f"{PATH}/"

    def answer(self, request: BaseRequest) -> Response:
        """A file that there is. `/console/` leads to `/console`, from which the page's addresses begin."""
        path = request.path
        if path == f"{PATH}/":
            return Response(status=308, headers={"Location": f"..{PATH}"})
        kind = "html" if path == PATH else path.rpartition(".")[2]
        return Response(
            body=self._files[path], content_type=_TYPES[kind], charset="utf-8", headers=dict(_HEADERS)
        )
