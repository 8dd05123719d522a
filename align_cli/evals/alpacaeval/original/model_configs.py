"""`models_configs/MODEL/configs.yaml` and `prompt.txt`: how the original program would ask the model itself.

Source: alpaca_eval 0.6.6, models_configs/{zephyr-7b-beta,Mistral-7B-Instruct-v0.2} and decoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from align_cli.evals.alpacaeval.evaluation_set import MAX_NEW_TOKENS, TEMPERATURE
from align_cli.evals.benchmark import Question
from align_cli.evals.folder import Evaluation

CONFIGS, PROMPT = "configs.yaml", "prompt.txt"
#: Where the instruction stands in a prompt.
_PLACE = "{instruction}"


class ModelConfig(NamedTuple):
    """The two files' texts."""

    configs: str
    prompt: str


def model_config(evaluation: Evaluation, questions: Sequence[Question], name: str) -> ModelConfig | None:
    """How the model was asked, as the original says it; None where its answers came from elsewhere.

    What only the user knows, the model's place on the Hub, is left to be filled in, and comments say so.
    """
    import yaml

    facts = evaluation.facts
    manner = facts.get("manner")
    if not isinstance(manner, Mapping):
        return None
    served = facts["model"].get("served")
    sampling = _sampling(manner, questions)
    if isinstance(served, Mapping):
        function, arguments, remarks = "openai_completions", _of_endpoint(served, sampling), list[str]()
        prompt = _chatml(manner.get("system"))
    else:
        function, (arguments, remarks) = "huggingface_local_completions", _of_model(evaluation, manner, sampling)
        stored = (facts["model"].get("template") or {}).get("prompt")
        prompt = stored if isinstance(stored, str) else _PLACE
        if prompt is not stored:
            remarks.append(f"{PROMPT}: the chat template is not known as text; write it there, around {_PLACE}")
    config = {
        "prompt_template": f"{name}/{PROMPT}",
        "fn_completions": function,
        "completions_kwargs": arguments,
        "pretty_name": evaluation.model,
        "link": "",
    }
    remarks.append("link: where others find the model")
    comments = "".join(f"# {remark}\n" for remark in remarks)
    told = yaml.safe_dump({name: config}, sort_keys=False, allow_unicode=True, width=10_000)
    return ModelConfig(configs=comments + told, prompt=prompt)


class _Sampling(NamedTuple):
    temperature: float
    max_new_tokens: int


def _sampling(manner: Mapping[str, Any], questions: Sequence[Question]) -> _Sampling:
    """Of the command line, else of the questions, which all have the same."""
    temperature, most = manner.get("temperature"), manner.get("max_new_tokens")
    if temperature is None:
        temperature = questions[0].temperature if questions else TEMPERATURE
    if most is None:
        most = questions[0].max_new_tokens if questions else MAX_NEW_TOKENS
    return _Sampling(float(temperature), int(most))


def _of_model(
    evaluation: Evaluation, manner: Mapping[str, Any], sampling: _Sampling
) -> tuple[dict[str, Any], list[str]]:
    remarks = []
    arguments: dict[str, Any] = {"model_name": evaluation.model}
    if "/" not in evaluation.model or evaluation.facts["model"].get("adapters"):
        remarks.append("model_name: the name under which the whole model lies on the Hub")
    dtype = str(manner.get("dtype") or "auto")
    if dtype == "auto":  # torch has no type of that name, and the original looks it up there
        remarks.append("model_kwargs: {torch_dtype: ...}: the answers were made with the type of the stored weights")
    else:
        arguments["model_kwargs"] = {"torch_dtype": dtype}
    arguments["max_new_tokens"] = sampling.max_new_tokens
    if sampling.temperature > 0:
        return {**arguments, "temperature": sampling.temperature, "top_p": 1.0, "do_sample": True}, remarks
    return {**arguments, "do_sample": False}, remarks


def _of_endpoint(served: Mapping[str, Any], sampling: _Sampling) -> dict[str, Any]:
    arguments = {
        "model_name": str(served["model"]),
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "requires_chatml": True,
    }
    place = served.get("endpoint")
    return {**arguments, "client_kwargs": {"base_url": str(place)}} if place else arguments


def _chatml(system: Any) -> str:
    """What an endpoint was sent; alpaca_eval cuts it into messages again."""
    said = [("system", system)] if isinstance(system, str) and system else []
    return "\n".join(f"<|im_start|>{role}\n{text}\n<|im_end|>" for role, text in [*said, ("user", _PLACE)])
