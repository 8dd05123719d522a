"""Bytes from an address, and the address of a wheel in the package index that pip is set up to use here.

What comes back is never trusted: callers know the sha256 that they want.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from align_cli.packages import root_of

_TIMEOUT = 30  # seconds without a byte
_INDEX_BYTES = 32 << 20
_PYPI = "https://pypi.org/simple"
_SIMPLE = "application/vnd.pypi.simple.v1+json, text/html;q=0.2"


class DownloadError(Exception):
    """The bytes cannot be had from there; the text says why."""


def fetch(url: str, *, most: int, accept: str = "*/*") -> bytes:
    """The content of an address (https, http or file), at most `most` bytes.

    Raises:
        DownloadError: no connection, an HTTP error, a cut-off answer, or more bytes than that.
    """
    bare, secret = _parted(url)
    if urlsplit(bare).scheme not in ("https", "http", "file"):
        raise DownloadError(f"{shown(url)} is no http address")
    request = Request(bare, headers={"Accept": accept, "User-Agent": "align-cli"})  # noqa: S310 (checked above)
    if secret:
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    try:
        with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 (checked above)
            said = answer.headers.get("Content-Length")
            content: bytes = answer.read(most + 1)
    except HTTPError as error:
        raise DownloadError(f"HTTP {error.code} {error.reason}") from None
    except URLError as error:
        raise DownloadError(_reason(error.reason)) from None
    except (OSError, ValueError) as error:
        raise DownloadError(_reason(error)) from None
    if len(content) > most:
        raise DownloadError(f"it is larger than {most:,} bytes")
    if said and said.isdigit() and len(content) < int(said):
        raise DownloadError(f"the download broke off after {len(content):,} of {int(said):,} bytes")
    return content


def indexes(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The package indexes to ask, in order: what the environment or pip's configuration names, else PyPI."""
    settings = _pip_settings()
    first = (
        environ.get("PIP_INDEX_URL")
        or environ.get("UV_DEFAULT_INDEX")
        or environ.get("UV_INDEX_URL")
        or settings.get("index-url")
        or _PYPI
    )
    more = environ.get("PIP_EXTRA_INDEX_URL") or settings.get("extra-index-url") or ""
    return list(dict.fromkeys(url.rstrip("/") for url in [*first.split()[:1], *more.split()]))


def wheel_address(index: str, file: str) -> str:
    """The address of a wheel, from its project's page in an index (PEP 503 or PEP 691).

    Raises:
        DownloadError: the index cannot be read or does not list the wheel.
    """
    project = re.sub(r"[-_.]+", "-", file.partition("-")[0]).lower()
    page = f"{index}/{project}/"
    if page.startswith("file:"):
        page += "index.html"
    content = fetch(page, most=_INDEX_BYTES, accept=_SIMPLE).decode("utf-8", "replace")
    if content.lstrip()[:1] == "{":
        listed: dict[str, str] = {entry["filename"]: entry["url"] for entry in json.loads(content).get("files", ())}
    else:
        listed = _links(content)
    if file not in listed:
        raise DownloadError(f"the index does not list {file}")
    address = urljoin(page, listed[file])
    whole, here = urlsplit(address), urlsplit(page)
    if "@" in here.netloc and whole.netloc == here.netloc.rpartition("@")[2]:  # the same host wants the same password
        address = urlunsplit(whole._replace(netloc=here.netloc))
    return address.partition("#")[0]


def shown(url: str) -> str:
    """The address without name and password."""
    return _parted(url)[0]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href") if tag == "a" else None
        if target:
            self.found[unquote(urlsplit(target).path.rpartition("/")[2])] = target


def _links(page: str) -> dict[str, str]:
    parser = _Links()
    parser.feed(page)
    return parser.found


def _parted(url: str) -> tuple[str, str]:
    """The address without name and password, and those as HTTP's basic authentication spells them."""
    parts = urlsplit(url)
    names, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, ""
    secret = base64.b64encode(unquote(names).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), secret


def _pip_settings() -> dict[str, Any]:
    """The settings of pip, as it reads them from its files; empty where pip is not installed."""
    if root_of("pip") is None:
        return {}
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, tuple[int, Any]] = {}
    for line in listed.splitlines():
        where, _, rest = line.partition(".")
        name, equals, value = rest.partition("=")
        rank = {"global": 0, "download": 1, ":env:": 2}.get(where, -1)
        if equals and rank >= found.get(name, (0, ""))[0]:
            try:
                found[name] = rank, ast.literal_eval(value)
            except (ValueError, SyntaxError):
                continue
    return {name: value for name, (_, value) in found.items()}


def _reason(error: Any) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"no connection: {text}"
