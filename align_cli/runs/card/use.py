"""How to use the model: code for the card that works as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from align_cli.recipe.schema import Recipe

#: What the code loads from before the model has an address.
PLACEHOLDER = "PATH_TO_THIS_FOLDER"

_CHAT = """\
from transformers import pipeline

chat = pipeline("text-generation", model="{name}"{options})
question = [{{"role": "user", "content": "Hello!"}}]
print(chat(question, max_new_tokens=128, return_full_text=False)[0]["generated_text"])"""

_TEXT = """\
from transformers import pipeline

write = pipeline("text-generation", model="{name}"{options})
print(write("Once upon a time", max_new_tokens=128)[0]["generated_text"])"""

_ADAPTER = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("{name}"{options})
tokenizer = AutoTokenizer.from_pretrained("{name}"{options})
question = [{{"role": "user", "content": "Hello!"}}]
prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**prompt, max_new_tokens=128)[0, prompt["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))"""

_ADAPTER_TEXT = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("{name}"{options})
tokenizer = AutoTokenizer.from_pretrained("{name}"{options})
prompt = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=128)[0], skip_special_tokens=True))"""

_REWARD = """\
from {library} import {model}
from transformers import AutoTokenizer

model = {model}.from_pretrained("{name}", num_labels=1{options})
tokenizer = AutoTokenizer.from_pretrained("{name}"{options})
conversation = [
    {{"role": "user", "content": "What is 2 + 2?"}},
    {{"role": "assistant", "content": "4"}},
]
tokens = tokenizer.apply_chat_template(conversation, return_tensors="pt", return_dict=True)
print(model(**tokens).logits[0, 0].item())  # the higher, the better"""


def section(name: str, recipe: Recipe, report: Mapping[str, Any]) -> str:
    """Code for this kind of model: chat or text, whole or an adapter, or one that gives a number.

    `name`: what the code loads from, a Hub id or a folder.
    """
    options = ", trust_remote_code=True" if recipe.get("trust_remote_code") else ""
    is_adapter = bool(recipe.get("use_peft"))
    talks = report.get("template") is not None or "template" not in report
    if recipe.task == "reward":
        kind = "AutoPeftModelForSequenceClassification" if is_adapter else "AutoModelForSequenceClassification"
        library = "peft" if is_adapter else "transformers"
        code = _REWARD.format(name=name, options=options, model=kind, library=library)
    elif is_adapter:
        code = (_ADAPTER if talks else _ADAPTER_TEXT).format(name=name, options=options)
    else:
        code = (_CHAT if talks else _TEXT).format(name=name, options=options)
    return f"## Use\n\n```python\n{code}\n```"


def addressed(card: str, *, names: Iterable[str], repo: str) -> str:
    """The card with code that loads from `repo`, where it loaded from one of `names` or from no address yet."""
    for name in (PLACEHOLDER, *names):
        card = card.replace(f'"{name}"', f'"{repo}"')
    return card
