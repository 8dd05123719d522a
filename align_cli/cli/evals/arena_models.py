"""Which models the words of `align eval arena serve --live` mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from align_cli.cli.evals import places
from align_cli.errors import UsageError
from align_cli.evals.asking.endpoint import Endpoint, endpoint


class How(Protocol):
    """The options that models are opened with; see `arena_serve.Live`."""

    @property
    def endpoint(self) -> str | None: ...  # noqa: D102
    @property
    def key_env(self) -> str | None: ...  # noqa: D102
    @property
    def system(self) -> str | None: ...  # noqa: D102
    @property
    def temperature(self) -> float: ...  # noqa: D102
    @property
    def max_new_tokens(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102
    @property
    def trust_remote_code(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Order:
    """A model that can be what was meant."""

    name: str
    word: str
    served: Endpoint | None = None
    """None: it is on this machine, or the Hub."""


def ordered(given: Sequence[tuple[str | None, str]], how: How) -> list[Order]:
    """The models in order; nothing is loaded or sent.

    Raises:
        UsageError: a word means no model, an address is none, a key is missing, or two models have one name.
    """
    orders = []
    for name, word in given:
        model, at, url = word.partition("@")
        address = url if at and "://" in url else how.endpoint
        if address:
            served = endpoint(model if at and "://" in url else word, base_url=address, key_env=how.key_env)
            orders.append(Order(name=name or served.model, word=word, served=served))
            continue
        from align_cli.cli.models import model_names
        from align_cli.models.speaking.opened import demand_dtype

        demand_dtype(how.dtype)
        model_names.demand(word, verb="chat")
        orders.append(Order(name=name or places.short_name(word), word=word))
    names = [order.name for order in orders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two models are called {', '.join(twice)}", hint=f"give one a name: other={twice[0]}@URL")
    return orders


def opened(order: Order, how: How) -> Any:
    """The model, ready to answer.

    Raises:
        UsageError: it cannot be spoken to.
    """
    from align_cli.evals.arena.serve import speakers

    if order.served is not None:
        parameters = {"temperature": how.temperature, "max_tokens": how.max_new_tokens}
        return speakers.ServedModel(order.name, order.served, system=how.system or None, parameters=parameters)
    from align_cli.cli import render
    from align_cli.cli.models.model_names import chain
    from align_cli.evals import speaking

    with render.working(sys.stderr) as tell:
        links = chain(order.word, trust_remote_code=how.trust_remote_code, say=tell, verb="eval arena serve")
        tell(f"opening {order.word}")
        return speakers.opened(
            order.name, speaking.speaking(links), chat_template=None, dtype=how.dtype,
            trust_remote_code=how.trust_remote_code, system=how.system, temperature=how.temperature,
            max_new_tokens=how.max_new_tokens,
        )  # fmt: skip
