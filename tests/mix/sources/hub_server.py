"""A Hub on the loopback: the few endpoints that `huggingface_hub` and `datasets` ask, over folders of the test."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

_META = re.compile(r"/api/datasets/(?P<id>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/datasets/(?P<id>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?")
_PATHS = re.compile(r"/api/datasets/(?P<id>[^/]+/[^/]+)/paths-info/(?P<revision>[^/]+)")
_FILE = re.compile(r"/datasets/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.*)")


@dataclass
class Hub:
    """Repositories by id: revision -> folder. `main` is a revision, too."""

    endpoint: str = ""
    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def folder(self, repository: str, revision: str) -> Path | None:
        revisions = self.repositories.get(repository, {})
        return next((path for name, path in revisions.items() if revision in (name, commit(path))), None)


def commit(folder: Path) -> str:
    """Forty hex digits of everything in the folder."""
    digest = hashlib.sha1()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


@contextmanager
def serve() -> Iterator[Hub]:
    """A Hub that answers until the block ends."""
    hub = Hub()

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
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

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path)
        self.served.requests.append(f"{self.command} {path}")
        for pattern, reply in ((_FILE, self._file), (_TREE, self._tree), (_PATHS, self._paths), (_META, self._meta)):
            if match := pattern.fullmatch(path):
                found = match.groupdict()
                if found["id"] not in self.served.repositories:
                    self._fail(404, "RepoNotFound", "Repository not found")
                elif found["id"] in self.served.gated:
                    self._fail(401, "GatedRepo", f"Access to dataset {found['id']} is restricted")
                elif (folder := self.served.folder(found["id"], found.get("revision") or "main")) is None:
                    self._fail(404, "RevisionNotFound", "Revision not found")
                else:
                    reply(folder, found, body)
                return
        self._fail(404, "EntryNotFound", "no such endpoint")

    def _meta(self, folder: Path, found: dict[str, str], body: bytes) -> None:
        files = [{"rfilename": path} for path in _paths(folder)]
        self._json({"id": found["id"], "sha": commit(folder), "siblings": files, "private": False, "tags": []})

    def _tree(self, folder: Path, found: dict[str, str], body: bytes) -> None:
        below = folder / (found["path"] or "")
        deep = "recursive=true" in self.path.lower()
        inside = sorted(below.rglob("*") if deep else below.iterdir()) if below.is_dir() else []
        entries = [_entry(folder, path.relative_to(folder).as_posix()) for path in inside]
        self._json(entries) if entries else self._fail(404, "EntryNotFound", "no such folder")

    def _paths(self, folder: Path, found: dict[str, str], body: bytes) -> None:
        asked = json.loads(body)["paths"] if body[:1] == b"{" else re.findall(r"paths=([^&]*)", body.decode())
        self._json([_entry(folder, unquote(path)) for path in asked if (folder / unquote(path)).exists()])

    def _file(self, folder: Path, found: dict[str, str], body: bytes) -> None:
        file = folder / found["path"]
        if not file.is_file():
            self._fail(404, "EntryNotFound", "Entry not found", commit(folder))
            return
        content = file.read_bytes()
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        status = 200
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit(folder)}
        if span:
            size, status = len(content), 206
            start, stop = int(span[1]), int(span[2]) + 1 if span[2] else size
            content = content[start:stop]
            headers["Content-Range"] = f"bytes {start}-{start + len(content) - 1}/{size}"
        self._send(status, content, {**headers, "Accept-Ranges": "bytes"})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str, message: str, sha: str = "") -> None:
        content = json.dumps({"error": message}).encode()
        headers = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
        self._send(status, content, headers | ({"X-Repo-Commit": sha} if sha else {}))

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, path: str) -> dict[str, Any]:
    if (folder / path).is_dir():
        return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}
    content = (folder / path).read_bytes()
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
