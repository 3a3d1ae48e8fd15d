"""As much of the API of Kubernetes as the scripts of the chart need: Secrets of one namespace, over HTTP."""

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
    before_create: Callable[[Api], None] = lambda _: None
    after_create: Callable[[Secret], None] = lambda _: None

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Secret]:
        self.requests.append(f"{method} {path.removeprefix(_PLACE)}")
        name = path.removeprefix(_PLACE).removeprefix("/")
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized"}
        if self.failures:
            self.failures -= 1
            return 503, {"message": "etcdserver: leader changed"}
        if method in self.forbidden or not path.startswith(_PLACE):
            return 403, {"message": f'secrets is forbidden: User "sa" cannot {method} resource "secrets"'}
        if method == "POST":
            return self._create(json.loads(body))
        if name not in self.secrets:
            return 404, {"message": f'secrets "{name}" not found'}
        return 200, self.secrets.pop(name) if method == "DELETE" else self.secrets[name]

    def _create(self, secret: Secret) -> tuple[int, Secret]:
        self.before_create(self)
        name = secret["metadata"]["name"]
        if name in self.secrets:
            return 409, {"message": f'secrets "{name}" already exists'}
        self.secrets[name] = secret
        self.after_create(secret)
        return 201, secret

    def environment(self, directory: Path) -> dict[str, str]:
        """How a script finds it, and the files of its ServiceAccount."""
        (directory / "namespace").write_text(NAMESPACE, "ascii")
        (directory / "token").write_text(f"{TOKEN}\n", "ascii")
        return {"API_URL": self.url, "ACCOUNT_DIR": str(directory)}


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
