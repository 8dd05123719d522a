"""Parameters that a model wants under another name, or not at all: learnt once, from its first refusal, for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align_cli.evals.asking.faults import Fault

#: Names that mean the same; either may be the one that a model takes.
_RENAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
#: A request without these is still the same question. Without others it is not: AlpacaEval reads logprobs.
_SPARED = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "top_k", "min_p")


class Dialect:
    """What one endpoint's model takes."""

    def __init__(self, model: str) -> None:
        self.notes: list[str] = []
        """What is sent otherwise than asked for, a sentence each."""
        self._model = model
        self._names: dict[str, str] = {}
        self._left_out: set[str] = set()

    def spoken(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as the model takes them."""
        return {
            self._names.get(name, name): value
            for name, value in parameters.items()
            if name not in self._left_out and value is not None
        }

    def learn(self, fault: Fault, sent: Mapping[str, Any]) -> bool:
        """Whether a request that was `sent` so should be sent again, otherwise; False: nothing can be done."""
        name = fault.parameter
        if name not in sent:
            return False
        if name in self._left_out or name in self._names:
            return True  # another request has just met the same refusal
        if name in _RENAMES and name not in self._names.values():
            self._names[name] = _RENAMES[name]
            self.notes.append(f"{self._model} does not take {name}: it is sent as {_RENAMES[name]} ({fault.why})")
            return True
        if name in _SPARED:
            self._left_out.add(name)
            self.notes.append(
                f"{self._model} does not take {name}={sent[name]}: it is left out, and the model's own default "
                f"holds ({fault.why})"
            )
            return True
        return False
