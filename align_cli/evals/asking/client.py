"""One request over HTTP: what came back, or why nothing did."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

from align_cli.errors import UsageError
from align_cli.evals.asking.complaints import shortened
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.asking.faults import Fault
from align_cli.evals.asking.limits import Limits
from align_cli.recipe.secrets import scrub

_CONNECT_S = 15.0
#: Less than the 5 s after which uvicorn, which serves most of them, drops an idle connection.
_KEPT_S = 4.0
_MOST_BYTES = 64 << 20
_MODELS_S = 10.0


class Received(NamedTuple):
    """An HTTP response, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Connections to one endpoint, as many as may be in flight. Redirects are never followed: they would take the key.

    Proxies of the environment are used, but not for a server on this machine or a private network.
    """

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        import httpx2

        from align_cli import __version__

        self._endpoint = endpoint
        self._limits = limits
        self._secrets = endpoint.secret_values()
        is_plain = endpoint.base_url.startswith("http://")
        try:
            self._http: Any = httpx2.AsyncClient(
                headers={"User-Agent": f"align-cli/{__version__}", "Accept": "application/json", **endpoint.headers()},
                timeout=httpx2.Timeout(None, connect=min(_CONNECT_S, limits.timeout_s)),
                limits=httpx2.Limits(
                    max_connections=limits.in_flight + 1,  # one to ask for the models, while the others wait
                    max_keepalive_connections=limits.in_flight,
                    keepalive_expiry=_KEPT_S,
                ),
                follow_redirects=False,
                trust_env=not endpoint.is_near,
                # The certificates of a system take 0.1 s to read: not for http.
                verify=True if not is_plain else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
        except ImportError:
            raise UsageError("the environment's proxy is a SOCKS proxy", hint="pip install socksio") from None
        except (ValueError, httpx2.InvalidURL):  # its words may hold the proxy's password
            raise UsageError("HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no address of a proxy") from None

    async def __aenter__(self) -> Client:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def post(self, key: str, document: Mapping[str, Any]) -> Received:
        """Send a chat completion's request.

        Raises:
            Fault: no whole response came.
        """
        content = json.dumps(document).encode("ascii")
        headers = {"Content-Type": "application/json", "Idempotency-Key": _header(key)}
        return await self._received("POST", "chat/completions", self._limits.timeout_s, content, headers)

    async def models(self) -> list[str]:
        """The names of the models that the endpoint says it has; empty if it does not say."""
        try:
            received = await self._received("GET", "models", _MODELS_S, None, {})
            found = json.loads(received.body)["data"]
            return [scrub(str(model["id"]), self._secrets) for model in found]
        except (Fault, ValueError, KeyError, TypeError, RecursionError):
            return []

    async def _received(
        self, method: str, what: str, timeout_s: float, content: bytes | None, headers: Mapping[str, str]
    ) -> Received:
        import httpx2

        body = bytearray()
        has_begun = False
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._http.stream(method, self._endpoint.url(what), content=content, headers=headers) as response,
            ):
                has_begun = True
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise Fault("unusable", f"the reply is longer than {_MOST_BYTES >> 20} MiB")
                return Received(response.status_code, response.headers, bytes(body))
        except TimeoutError:
            got = f"only {len(body)} bytes of a reply" if has_begun else "no reply"
            raise Fault("lost", f"{got} within {timeout_s:g} s") from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise Fault("unreachable", f"no connection to {self._endpoint.host}: {self._cause(error)}") from None
        except httpx2.DecodingError as error:
            raise Fault("unusable", f"the reply cannot be decoded: {self._cause(error)}") from None
        except httpx2.InvalidURL as error:
            raise Fault("no_chat", f"this is no address: {error}") from None
        except httpx2.HTTPError as error:
            where = f"after {len(body)} bytes of a reply" if has_begun else "without a reply"
            raise Fault("lost", f"the connection broke off {where}: {self._cause(error)}") from None

    def _cause(self, error: BaseException) -> str:
        """What the system said at the bottom of it, in a few words."""
        seen: BaseException | None = error
        words = ""
        while seen is not None:
            if isinstance(seen, ssl.SSLCertVerificationError):
                words = f"its certificate is not trusted: {seen.verify_message}"
            elif isinstance(seen, ssl.SSLError):
                words = "TLS: " + str(seen.reason or seen).replace("_", " ").lower()
            elif isinstance(seen, OSError) and seen.strerror:
                # asyncio words a refused connection in its own way; name look-ups have negative numbers
                number = seen.errno or 0
                words = os.strerror(number) if number > 0 else seen.strerror
            seen = seen.__cause__ or seen.__context__
        text = words or str(error) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
        return scrub(shortened(text), self._secrets)


def _header(key: str) -> str:
    """A key as a header may carry it."""
    is_plain = key.isascii() and key.isprintable() and key.strip() == key and 0 < len(key) <= 200
    return key if is_plain else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
