"""A Hub on the loopback that takes models: the endpoints that a push asks, with faults to order."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "loopbacktoken" * 2
_LARGE = (".safetensors", ".bin")


@dataclass
class Repository:
    """Branch -> path -> content; large files go by their sha256."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: list[str] = field(default_factory=list)


@dataclass
class Fault:
    """What happens instead of an answer, as often as `times`."""

    pattern: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "out of order"
    times: int = 1
    drops: bool = False
    """Close the connection instead."""
    after: bool = False
    """Do what is asked first: only the answer is lost."""


@dataclass
class Hub:
    """What the server holds and has been asked."""

    endpoint: str = ""
    user: str = "me"
    role: str = "write"
    organisations: tuple[str, ...] = ("lab",)
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def files(self, repository: str, branch: str = "main") -> dict[str, bytes]:
        return self.repositories[repository].branches[branch]

    def asked(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, request)) for request in self.requests)


@contextmanager
def serve() -> Iterator[Hub]:
    """A Hub that answers until the block ends."""
    hub = Hub()

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PUT(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, body: bytes) -> None:
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        if path == "/api/agent-harnesses":  # the library's own, of no push's concern
            self._fail(404, "none")
            return
        with self.served.lock:
            self.served.requests.append(request)
            fault = next((f for f in self.served.faults if f.times and re.search(f.pattern, request)), None)
            if fault is not None:
                fault.times -= 1
        if fault is not None and not fault.after:
            self._break(fault)
            return
        if not path.startswith("/objects/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._fail(401, "Invalid credentials in Authorization header")
            return
        reply = next((reply for pattern, reply in self._routes() if (match := re.fullmatch(pattern, path))), None)
        if reply is None:
            self._fail(404, "no such endpoint")
            return
        with self.served.lock:
            status, document = reply(body, *match.groups())
        if fault is not None:
            self._break(fault)
        elif not isinstance(document, str):
            self._send(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
        else:
            self._fail(status, document)

    def _routes(self) -> list[tuple[str, Callable[..., tuple[int, Any]]]]:
        model = r"/api/models/([^/]+/[^/]+)"
        return [
            (r"/api/whoami-v2", self._whoami),
            (r"/api/repos/create", self._create),
            (r"/api/validate-yaml", lambda body: (200, {"warnings": []})),
            (rf"{model}/branch/(.+)", self._branch),
            (rf"{model}/tree/([^/]+)", self._tree),
            (rf"{model}/preupload/(.+)", self._preupload),
            (rf"{model}/commit/(.+)", self._commit),
            (rf"{model}/revision/(.+)", self._info),
            (model, self._info),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            (r"/objects/([0-9a-f]{64})", self._object),
        ]

    def _whoami(self, body: bytes) -> tuple[int, Any]:
        names = [{"name": name} for name in self.served.organisations]
        access = {"accessToken": {"role": self.served.role, "displayName": "test"}}
        return 200, {"type": "user", "name": self.served.user, "orgs": names, "auth": access}

    def _create(self, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        owner = asked.get("organization") or self.served.user
        name = f"{owner}/{asked['name']}"
        if name in self.served.repositories:
            return 409, {"error": "You already created this model repo", "url": f"{self.served.endpoint}/{name}"}
        if owner not in (self.served.user, *self.served.organisations):
            return 403, f"You don't have the rights to create a model under the namespace {owner}"
        self.served.repositories[name] = Repository(private=asked.get("visibility") == "private")
        return 200, {"url": f"{self.served.endpoint}/{name}", "name": name}

    def _branch(self, body: bytes, name: str, branch: str) -> tuple[int, Any]:
        branches = self.served.repositories[name].branches
        if branch in branches:
            return 409, "there is such a branch"
        branches[branch] = dict(branches["main"])
        return 200, {}

    def _info(self, body: bytes, name: str, branch: str = "main") -> tuple[int, Any]:
        if name not in self.served.repositories:
            return 404, "Repository not found"
        found = self.served.repositories[name]
        sha = found.commits[-1] if found.commits else "0" * 40
        return 200, {"id": name, "sha": sha, "private": found.private, "tags": [], "siblings": []}

    def _tree(self, body: bytes, name: str, branch: str) -> tuple[int, Any]:
        return 200, [_entry(path, content) for path, content in self.served.files(name, branch).items()]

    def _preupload(self, body: bytes, name: str, branch: str) -> tuple[int, Any]:
        if not self._may_write(name):
            return 403, "you may not write here"
        there = {path: _entry(path, content) for path, content in self.served.files(name, branch).items()}
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(_LARGE) else "regular",
                "shouldIgnore": False,
                "oid": there[file["path"]].get("lfs", there[file["path"]])["oid"] if file["path"] in there else None,
            }
            for file in json.loads(body)["files"]
        ]
        return 200, {"files": files}

    def _batch(self, body: bytes, name: str) -> tuple[int, Any]:
        objects = []
        for asked in json.loads(body)["objects"]:
            found = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.served.objects:
                found["actions"] = {"upload": {"href": f"{self.served.endpoint}/objects/{asked['oid']}"}}
            objects.append(found)
        return 200, {"transfer": "basic", "objects": objects}

    def _object(self, body: bytes, digest: str) -> tuple[int, Any]:
        if hashlib.sha256(body).hexdigest() != digest:
            return 400, "the content is not what its digest says"
        self.served.objects[digest] = body
        return 200, {}

    def _commit(self, body: bytes, name: str, branch: str) -> tuple[int, Any]:
        if not self._may_write(name):
            return 403, "you may not write here"
        files = self.served.files(name, branch)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.served.objects[value["oid"]]
        sha = hashlib.sha1(body).hexdigest()
        self.served.repositories[name].commits.append(sha)
        return 200, {"commitUrl": f"{self.served.endpoint}/{name}/commit/{sha}", "commitOid": sha}

    def _may_write(self, name: str) -> bool:
        return name.split("/")[0] in (self.served.user, *self.served.organisations)

    def _break(self, fault: Fault) -> None:
        if fault.drops:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._fail(fault.status, fault.message, fault.headers)

    def _fail(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        content = json.dumps({"error": message, "errors": [{"message": message}]}).encode()
        self._send(status, content, {"X-Error-Message": message, "Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if path.endswith(_LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
