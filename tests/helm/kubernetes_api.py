"""As much of the API of Kubernetes as the scripts and `lookup` of the chart need: Secrets of a namespace."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMESPACE, TOKEN = "partners", "token-of-the-service-account"
_PLACE = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_ALWAYS_THERE: dict[str, dict[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get"]}
            for name, kind in {"secrets": "Secret", "configmaps": "ConfigMap"}.items()
        ],
    },
    f"/api/v1/namespaces/{NAMESPACE}/configmaps/kube-root-ca.crt": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": NAMESPACE},
    },
}

Secret = dict[str, Any]


@dataclass
class Api:
    """What it has, and what was asked of it."""

    url: str = ""
    secrets: dict[str, Secret] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    forbidden: frozenset[str] = frozenset()
    """Methods that the Role does not allow."""
    failures: int = 0
    """So many requests fail within the API before one is answered."""
    trusting: bool = False
    """Want no token, as `kubectl proxy` does: Helm sends none over plain HTTP."""
    before_create: Callable[[Api], None] = lambda _: None
    after_create: Callable[[Secret], None] = lambda _: None

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Secret]:
        path = path.partition("?")[0]
        self.requests.append(f"{method} {path.removeprefix(_PLACE)}")
        name = path.removeprefix(_PLACE).removeprefix("/")
        if not self.trusting and token != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized"}
        if method == "GET" and path in _ALWAYS_THERE:
            return 200, _ALWAYS_THERE[path]
        if self.failures:
            self.failures -= 1
            return 503, {"message": "etcdserver: leader changed"}
        if method in self.forbidden or not path.startswith(_PLACE):
            said = f'secrets is forbidden: User "sa" cannot {method} resource "secrets"'
            return 403, _status(403, "Forbidden", said)
        if method == "POST":
            return self._create(json.loads(body))
        if name not in self.secrets:
            return 404, _status(404, "NotFound", f'secrets "{name}" not found')
        return 200, self.secrets.pop(name) if method == "DELETE" else self.secrets[name]

    def _create(self, secret: Secret) -> tuple[int, Secret]:
        self.before_create(self)
        name = secret["metadata"]["name"]
        if name in self.secrets:
            return 409, {"message": f'secrets "{name}" already exists'}
        self.secrets[name] = secret
        self.after_create(secret)
        return 201, secret

    def kubeconfig(self, directory: Path) -> Path:
        """How Helm finds it."""
        self.trusting = True
        file = directory / "kubeconfig.json"
        context = {"cluster": "test", "user": "test", "namespace": NAMESPACE}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        file.write_text(json.dumps(config), "utf-8")
        return file

    def environment(self, directory: Path) -> dict[str, str]:
        """How a script finds it, and the files of its ServiceAccount."""
        (directory / "namespace").write_text(NAMESPACE, "ascii")
        (directory / "token").write_text(f"{TOKEN}\n", "ascii")
        return {"API_URL": self.url, "ACCOUNT_DIR": str(directory)}


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    said = {"status": "Failure", "reason": reason, "code": code, "message": message}
    return {"apiVersion": "v1", "kind": "Status", **said}


@contextmanager
def running_api() -> Iterator[Api]:
    """Serve on a free port of this machine until the block ends."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = api.answer(self.command, self.path, self.headers["Authorization"], body)
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
