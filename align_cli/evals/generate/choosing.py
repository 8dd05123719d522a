"""The next tokens, chosen from logits by the rules of a model's generation config, as transformers' `generate` does.

The config's own values count: FastChat gives a temperature and nothing else, so top_k, top_p or repetition_penalty are
the model's, and top_k is 50 where it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from align_cli.errors import LaunchError
from align_cli.evals.generate.streams import Stream

#: A gap between the two largest logits is a near tie below so many roundings of the larger, by dtype. Between one
#: row and 16, gaps of SmolLM2-135M moved by up to 32 roundings in float32 and 5 in bfloat16 (99 of 100: 10 and 2); of
#: 605 greedy choices none turned round in float32, and 16 in bfloat16.
_NEAR_TIE = {"float32": 64.0, "float64": 64.0}
_NEAR_TIE_COARSE = 4.0

#: transformers' `GenerationConfig._get_default_generation_params`, 5.23: all that is not the same as leaving it out.
_TOP_K = 50

#: What a config may have that `Chooser` knows.
_KNOWN = {
    "top_k", "top_p", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
    "repetition_penalty", "no_repeat_ngram_size", "suppress_tokens",
}  # fmt: skip

#: What has no say in which token is next, or comes from elsewhere here.
_SILENT = {
    "transformers_version", "_from_model_config", "_commit_hash", "bos_token_id", "eos_token_id", "pad_token_id",
    "decoder_start_token_id", "use_cache", "cache_implementation", "cache_config", "max_cache_len",
    "return_dict_in_generate", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
    "max_length", "max_new_tokens", "do_sample", "temperature", "early_stopping", "length_penalty",
    "num_return_sequences", "disable_compile", "compile_config", "prefill_chunk_size", "is_assistant",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind",
    "target_lookbehind", "low_memory",
}  # fmt: skip

#: What only `generate` itself does, with the value at which it does nothing.
_IDLE: dict[str, float] = {
    "num_beams": 1,
    "num_beam_groups": 1,
    "diversity_penalty": 0,
    "min_length": 0,
    "min_new_tokens": 0,
    "encoder_repetition_penalty": 1,
    "encoder_no_repeat_ngram_size": 0,
    "remove_invalid_values": False,
    "renormalize_logits": False,
    "token_healing": False,
    "use_mtp": False,
    "guidance_scale": 1,
}


class Row(Protocol):
    """Whose next token is chosen."""

    @property
    def temperature(self) -> float:
        """Of its question."""

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken."""

    tokens: list[int]
    """Prompt and answer so far."""
    stream: Stream
    near_ties: int


def unknown(config: Any) -> list[str]:
    """What a generation config asks for that only `generate` itself does: name=value."""
    return [
        f"{name}={value}"
        for name, value in config.to_dict().items()
        if value is not None and name not in _SILENT | _KNOWN and (name not in _IDLE or value != _IDLE[name])
    ]


@dataclass
class Chooser:
    """Chooses the next token of each row by a generation config; `name` is the model's."""

    name: str
    config: Any
    dtype: Any
    """Of the model: logits are rounded as it is."""
    _warpers: dict[float, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from transformers.generation import logits_process as ways

        config = self.config
        self._by_history: list[Any] = []
        if config.repetition_penalty is not None and config.repetition_penalty != 1.0:
            self._by_history.append(ways.RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
        if config.no_repeat_ngram_size:
            self._by_history.append(ways.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
        self._suppress = list(config.suppress_tokens or ())

    def choose(self, logits: Any, rows: Sequence[Row]) -> list[int]:
        """A token for each row, from `logits` (rows, vocabulary); counts near ties.

        Raises:
            LaunchError: logits are no numbers.
        """
        scores = self._scores(logits.float(), rows)
        best, tokens = scores.max(dim=-1)
        demand_numbers(self.name, best)
        chosen: list[int] = tokens.tolist()
        by_temperature: dict[float, list[int]] = {}
        for index, row in enumerate(rows):
            if not row.is_greedy:
                by_temperature.setdefault(row.temperature, []).append(index)
        # First all that takes memory, then what cannot be done twice: a pass may be repeated when memory ran out.
        near = self._near_ties(scores, best, tokens) if len(by_temperature) < len(rows) else []
        sampled = [
            (self.probabilities(scores[indices], temperature), indices)
            for temperature, indices in by_temperature.items()
        ]
        for row, is_near in zip(rows, near, strict=False):
            row.near_ties += row.is_greedy and is_near
        for probabilities, indices in sampled:
            for probability, index in zip(probabilities, indices, strict=True):
                chosen[index] = rows[index].stream.draw(probability)
        return chosen

    def probabilities(self, scores: Any, temperature: float) -> Any:
        """What is sampled from; `scores`: (rows, vocabulary)."""
        if temperature not in self._warpers:
            self._warpers[temperature] = list(_warpers(self.config, temperature, scores.device))
        for warp in self._warpers[temperature]:
            scores = warp(None, scores)
        return scores.softmax(dim=-1)

    def _scores(self, scores: Any, rows: Sequence[Row]) -> Any:
        """Logits, with what depends on the tokens that are there."""
        if not self._by_history and not self._suppress:
            return scores
        import torch

        scores = scores.clone()
        if self._by_history:
            for index, row in enumerate(rows):
                tokens, one = torch.tensor([row.tokens], device=scores.device), scores[index : index + 1]
                for process in self._by_history:
                    one = process(tokens, one)
                scores[index] = one[0]
        if self._suppress:
            scores[:, self._suppress] = float("-inf")
        return scores

    def _near_ties(self, scores: Any, best: Any, tokens: Any) -> list[bool]:
        rest = scores.scatter(1, tokens[:, None], float("-inf"))
        near: list[bool] = is_near_tie(best, rest.amax(dim=-1), self.dtype).tolist()
        return near


def demand_numbers(name: str, best: Any) -> None:
    """Raise for a model whose largest logits are not finite; no choice among them means anything."""
    if not bool(best.isfinite().all()):
        raise LaunchError(
            f"{name}: the model computes logits that are no numbers",
            hint="--dtype float32 has room for larger ones; if they stay, the weights are damaged",
        )


def top_k(config: Any) -> int:
    """How many tokens are sampled from; 0 for all."""
    return _TOP_K if config.top_k is None else int(config.top_k)


def is_near_tie(best: Any, second: Any, dtype: Any) -> Any:
    """Whether two logits are so close that another order of adding up may turn them round.

    The measure is the rounding of the model's dtype at the larger logit's size.
    """
    import torch

    roundings = _NEAR_TIE.get(str(dtype).removeprefix("torch."), _NEAR_TIE_COARSE)
    return best - second < roundings * torch.finfo(dtype).eps * best.abs()


def _warpers(config: Any, temperature: float, device: Any) -> Any:
    """What `generate` does to logits before it samples, in its order (`_get_logits_processor`, transformers 5.23)."""
    from transformers.generation import logits_process as ways

    def is_on(value: Any) -> bool:
        return value is not None and 0.0 < value < 1.0

    if temperature != 1.0:
        yield ways.TemperatureLogitsWarper(temperature)
    if config.top_h is not None:
        yield ways.TopHLogitsWarper(top_h=config.top_h)
    if top_k(config):
        yield ways.TopKLogitsWarper(top_k=top_k(config))
    if config.top_p is not None and config.top_p < 1.0:
        yield ways.TopPLogitsWarper(top_p=config.top_p)
    if config.min_p is not None:
        yield ways.MinPLogitsWarper(min_p=config.min_p)
    if config.typical_p is not None and config.typical_p < 1.0:
        yield ways.TypicalLogitsWarper(mass=config.typical_p)
    if is_on(config.epsilon_cutoff):
        yield ways.EpsilonLogitsWarper(epsilon=config.epsilon_cutoff)
    if is_on(config.eta_cutoff):
        yield ways.EtaLogitsWarper(epsilon=config.eta_cutoff, device=device)
