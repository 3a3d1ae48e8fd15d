"""Secrets through the API of Kubernetes, with what a pod has: token, namespace, the CA of the cluster."""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

_ACCOUNT = Path(os.environ.get("ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount"))
_ADDRESS = os.environ.get("API_URL", "https://kubernetes.default.svc")
_ATTEMPTS = 5


class Refused(Exception):
    """The API said no, or nothing; the text is for the operator."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def find(name: str) -> Mapping[str, str] | None:
    """The data of a Secret, in base64; None if there is no such Secret."""
    try:
        return dict(_ask("GET", f"/{name}").get("data") or {})
    except Refused as error:
        if error.status == 404:
            return None
        raise


def create(name: str, files: Mapping[str, bytes], *, annotations: Mapping[str, str] | None = None) -> bool:
    """Make a Secret of these files. False if there is one of this name: that is left as it is."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "type": "Opaque",
        "data": {file: b64encode(content).decode() for file, content in files.items()},
    }
    try:
        _ask("POST", "", secret)
    except Refused as error:
        if error.status == 409:
            return False
        raise
    return True


def delete(name: str) -> None:
    """Remove a Secret; it may be gone already."""
    try:
        _ask("DELETE", f"/{name}")
    except Refused as error:
        if error.status != 404:
            raise


def _ask(method: str, path: str, body: object = None) -> dict[str, object]:
    """The answer to one request; one that never arrives, or fails within the API, is asked again."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _ask_once(method, path, body)
        except Refused as error:
            if attempt == _ATTEMPTS or 0 < error.status < 500:
                raise
        time.sleep(attempt)
    raise AssertionError("unreachable")


def _ask_once(method: str, path: str, body: object) -> dict[str, object]:
    namespace = (_ACCOUNT / "namespace").read_text("ascii").strip()
    request = urllib.request.Request(
        f"{_ADDRESS}/api/v1/namespaces/{namespace}/secrets{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {(_ACCOUNT / 'token').read_text('ascii').strip()}",
            "Content-Type": "application/json",
        },
    )
    what = f"{method} secrets{path} in namespace {namespace}"
    try:
        with urllib.request.urlopen(request, timeout=10, context=_tls()) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise Refused(f"{what}: {error.code} {_message(error)}{_advice(error.code)}", error.code) from None
    except OSError as error:
        advice = "a NetworkPolicy of the namespace may keep this pod from the API of Kubernetes"
        raise Refused(f"{what}: {error} ({_ADDRESS}); {advice}") from None


def _tls() -> ssl.SSLContext | None:
    if not _ADDRESS.startswith("https://"):
        return None
    return ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError):
        return error.reason


def _advice(status: int) -> str:
    if status == 403:
        return "; the Role of this pod's ServiceAccount has to allow it: was it removed or changed?"
    return ""
