"""Where is asked and with whose key: OpenAI, Azure, or any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

from align_cli.errors import UsageError
from align_cli.recipe.secrets import is_secret

OPENAI = "https://api.openai.com/v1"
KEYRING_SERVICE = "align"

_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_AZURE_VERSIONS = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")
#: Names that are never public.
_NEAR = re.compile(r"(^|\.)(localhost|local|internal|lan|home\.arpa|intranet|svc)$")
#: What is given where a server wants no key: no secret, and words that replies may well contain.
_PLACEHOLDERS = {"empty", "none", "null", "dummy", "ollama", "lm-studio", "no-key", "not-needed", "sk-no-key-required"}
_SHORTEST_SECRET = 6


class Secrets(NamedTuple):
    """What is sent to an endpoint and shown to nobody."""

    key: str = ""
    user: str = ""
    password: str = ""
    query: str = ""

    def __repr__(self) -> str:
        return "Secrets(<removed>)"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model where it is served. The key is no field: no repr, comparison or `asdict` has it."""

    model: str
    """On Azure, the deployment's name."""
    base_url: str
    """Without user, password and query."""
    kind: Literal["openai", "azure"] = "openai"
    api_version: str = ""
    """Azure's; empty for its /openai/v1, which has none."""
    key_source: str = ""
    """The variable that the key is from, or `keyring`; empty: there is none."""
    secrets: InitVar[Secrets]

    def __post_init__(self, secrets: Secrets) -> None:
        object.__setattr__(self, "_secrets", secrets)

    @property
    def identity(self) -> dict[str, str]:
        """What digests and records name it by."""
        return {"model": self.model, "endpoint": self.base_url}

    @property
    def host(self) -> str:
        """Its host and port."""
        return urlsplit(self.base_url).netloc

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine or a private network."""
        return _is_near(urlsplit(self.base_url).hostname or "")

    def url(self, what: str) -> str:
        """The address of `chat/completions` or `models`; secret where the base URL had a query."""
        if self.kind == "azure" and self.api_version:
            place = "openai/models" if what == "models" else f"openai/deployments/{quote(self.model, safe='')}/{what}"
            return f"{self.base_url}/{place}?api-version={quote(self.api_version)}"
        query = self._held.query
        return f"{self.base_url}/{what}" + (f"?{query}" if query else "")

    def headers(self) -> dict[str, str]:
        """What says who asks."""
        held = self._held
        if held.user or held.password:
            return {"Authorization": f"Basic {_basic(held)}"}
        if not held.key:
            return {}
        return {"api-key": held.key} if self.kind == "azure" else {"Authorization": f"Bearer {held.key}"}

    def secret_values(self) -> tuple[str, ...]:
        """What must be taken out of whatever the endpoint sends back."""
        held = self._held
        named = [value for name, value in parse_qsl(held.query) if is_secret(name) or name in ("key", "code", "sig")]
        values = [held.key, held.password, _basic(held) if held.password else "", *named]
        return tuple(
            dict.fromkeys(
                value for value in values if len(value) >= _SHORTEST_SECRET and value.lower() not in _PLACEHOLDERS
            )
        )

    @property
    def _held(self) -> Secrets:
        held: Secrets = self.__dict__["_secrets"]
        return held


def endpoint(
    model: str,
    *,
    base_url: str | None = None,
    key_env: str | None = None,
    needs_key: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """The endpoint that serves `model`, from the options and the environment; nothing is sent.

    The address is `base_url`, else `OPENAI_BASE_URL`, else Azure's `AZURE_OPENAI_ENDPOINT`, else OpenAI's. The key is
    in the variable `key_env`, else in `OPENAI_API_KEY` (Azure: `AZURE_OPENAI_API_KEY`), else in the keyring; a server
    on this machine or a private network needs none, nor does who asks for nothing (`needs_key`: a dry run).

    Raises:
        UsageError: the address is none, the environment names two endpoints, or there is no key.
    """
    if not model.strip():
        raise UsageError("the model's name is empty")
    given, where, is_azure = _address(base_url, key_env, environ)
    parts = _parsed(given, where)
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    version = ""
    if is_azure:
        path, _, _ = path.partition("/openai/deployments/")
        version = "" if path.endswith("/openai/v1") else _azure_version(parts.query, environ)
    host = parts.hostname or ""
    usual = "AZURE_OPENAI_API_KEY" if is_azure else "OPENAI_API_KEY"
    secrets, source = _secrets(parts, key_env, usual, environ)
    if needs_key:
        _demand_key(secrets, host, key_env, usual)
    return Endpoint(
        model=model.strip(),
        base_url=urlunsplit((parts.scheme, _netloc(parts), path, "", "")),
        kind="azure" if is_azure else "openai",
        api_version=version,
        key_source=source,
        secrets=secrets,
    )


def _address(base_url: str | None, key_env: str | None, environ: Mapping[str, str]) -> tuple[str, str, bool]:
    """The address, who named it, and whether it is Azure's."""
    for url, where in ((base_url, "the endpoint"), (environ.get("OPENAI_BASE_URL"), "OPENAI_BASE_URL")):
        if url and url.strip():
            host = urlsplit(url.strip()).hostname or ""
            return url.strip(), where, host.endswith(_AZURE_HOSTS)
    azure = environ.get("AZURE_OPENAI_ENDPOINT", "").strip()
    if not azure:
        return OPENAI, "OpenAI's address", False
    if key_env is None and environ.get("OPENAI_API_KEY"):
        # A guess would send a key, and bill a request, where it was not meant to go.
        raise UsageError(
            "both OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT are set: which is to be asked?",
            hint=f"name the endpoint, {OPENAI} or {_shown(azure)}; or set OPENAI_BASE_URL to it",
        )
    if key_env == "OPENAI_API_KEY":
        return OPENAI, "OpenAI's address", False
    return azure, "AZURE_OPENAI_ENDPOINT", True


def _parsed(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError(f'{where}: "{_shown(url)}" is no http address', hint="e.g. http://localhost:8000/v1")
    return parts


def _shown(url: str) -> str:
    """An address without whatever may be secret in it, even if it is none."""
    return re.sub(r"[?#].*", "", re.sub(r"//[^/@]*@", "//", url))


def _netloc(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


def _azure_version(query: str, environ: Mapping[str, str]) -> str:
    said = dict(parse_qsl(query)).get("api-version", "")
    version = said or next((environ[name] for name in _AZURE_VERSIONS if environ.get(name)), "")
    if not version:
        raise UsageError(
            "OPENAI_API_VERSION is not set: Azure wants the version of its API",
            hint="export OPENAI_API_VERSION=2024-10-21, or name the endpoint with /openai/v1 at its end",
        )
    return version.strip()


def _secrets(parts: SplitResult, key_env: str | None, usual: str, environ: Mapping[str, str]) -> tuple[Secrets, str]:
    """What is sent along, and where the key is from."""
    if key_env is not None and not re.fullmatch(r"[A-Za-z_]\w*", key_env):
        # Somebody gave the key itself: it is not repeated here.
        raise UsageError("a key is given by the name of the variable that holds it", hint=f"e.g. {usual}")
    known = Secrets(user=unquote(parts.username or ""), password=unquote(parts.password or ""), query=parts.query)
    if known.user or known.password:
        if key_env is not None:
            raise UsageError("the endpoint's address has a user, and a key is named too: only one can be sent")
        return known, ""
    name = key_env or usual
    key = environ.get(name, "").strip()
    if key and not (key.isascii() and key.isprintable()):
        raise UsageError(f"{name}: what it holds is no key: it has a line break or a letter that is not ASCII")
    if key:
        return known._replace(key=key), name
    host = parts.hostname or ""
    kept = "" if key_env is not None or _is_loopback(host) else _from_keyring(host)
    return (known._replace(key=kept), "keyring") if kept else (known, "")


def _demand_key(secrets: Secrets, host: str, key_env: str | None, usual: str) -> None:
    """Raise where one is named and not there, or is wanted and there is none."""
    if secrets.key or secrets.user or secrets.password:
        return
    if key_env is not None:
        raise UsageError(f"{key_env} is not set", hint=f"export {key_env}=… holds the key for {host}")
    if not _is_near(host):
        raise UsageError(
            f"{usual} is not set: {host} wants a key",
            hint=f"export {usual}=…; or keep it in the system's keyring: keyring set {KEYRING_SERVICE} {host} "
            "(with the package keyring installed)",
        )


def _from_keyring(host: str) -> str:
    """The key that the system keeps for the host; empty where it keeps none or has no keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return str(keyring.get_password(KEYRING_SERVICE, host) or "").strip()
    except (KeyringError, RuntimeError, OSError):  # no keyring here, or it is locked
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _is_near(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or bool(_NEAR.search(host.lower()))


def _basic(held: Secrets) -> str:
    return base64.b64encode(f"{held.user}:{held.password}".encode()).decode()
