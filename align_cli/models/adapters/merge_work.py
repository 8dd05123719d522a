"""`python -m align_cli.models.adapters.merge_work`: a chain made into a whole model, in its own process.

The folder that is filled belongs to the parent, which gives it its name when this is done. Shard by shard where plain
arithmetic is enough; through peft, with the whole model in memory, where it is not.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.files import read_json, write_json
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import fits, lora, merge_plan, merge_shards, stackable, stacking
from align_cli.models.adapters.chains import RECORD, STACKED, Chain, Link
from align_cli.models.adapters.merge_plan import NotByShards, Plan
from align_cli.models.adapters.verify import compare
from align_cli.models.finding import children, contents
from align_cli.models.speaking.opening import model_class

_FORMAT = 1  # of the record; raise when a key changes its meaning


def merge(
    *,
    chain: Mapping[str, Any],
    folder: str,
    role: str,
    trust_remote_code: bool,
    say: Callable[[str], None],
    on_progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Fill `folder` with the merged model and the record of how it came about; the record is the result.

    `role` is `stage` for a model that is only trained on (its adapters are kept beside it, as one where they add up),
    `model` for one of its own.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = Path(folder)
    links = _chain(chain)
    one_file = place / "align" / ".adapters"
    links = _in_safetensors(links, one_file)
    folders = [link.folder for link in links.adapters]
    try:
        plan = merge_plan.plan(links)
    except NotByShards as why:
        say(f"merging in memory, because {why}")
        _in_memory(links, place, trust_remote_code)
        how = f"in memory: {why}"
    else:
        merge_shards.write(plan, place, on_tensor=on_progress)
        _write_config(links.base.folder, place, plan)
        how = "shard by shard"
    _copy_the_rest(links, place)
    why_not = stackable.obstacle_of_chain(links)
    if role == "stage" and not why_not:
        _keep_stacked(links, place / STACKED, chain)
        folders = [place / STACKED]
    say("comparing the merged model with base and adapter")
    verified = compare(links.base.folder, folders, place, trust_remote_code=trust_remote_code)
    shutil.rmtree(one_file, ignore_errors=True)
    record = {
        "format": _FORMAT,
        "role": role,
        "chain": chain,
        "how": how,
        "verified": verified.as_dict(),
        "adds_up": why_not or True,
        "versions": {name: version(name) for name in ("align-cli", "torch", "transformers", "peft")},
    }
    write_json(place / RECORD, record)
    return record


def _chain(said: Mapping[str, Any]) -> Chain:
    """The chain from its record; digests are not counted again."""

    def link(one: Mapping[str, Any], *, is_adapter: bool) -> Link:
        folder = Path(one["folder"])
        made = Link(
            name=one["name"],
            revision=one["revision"],
            folder=folder,
            adapter=lora.read(folder) if is_adapter else None,
            contains=tuple(one.get("contains", ())),
        )
        made.__dict__["digest"] = one["digest"]
        return made

    return Chain(
        base=link(said["base"], is_adapter=False),
        adapters=tuple(link(one, is_adapter=True) for one in said["adapters"]),
    )


def _in_safetensors(chain: Chain, folder: Path) -> Chain:
    """The chain with old adapters (`adapter_model.bin`) replaced by copies whose tensors can be looked at."""
    links = []
    for number, link in enumerate(chain.adapters):
        assert link.adapter is not None
        if not link.adapter.is_readable:
            copied = folder / str(number)
            stacking.copy(link.folder, copied, base=str(chain.base.folder), revision=None)
            link = Link(name=link.name, revision=link.revision, folder=copied, adapter=lora.read(copied))
        links.append(link)
    whole = Chain(base=chain.base, adapters=tuple(links))
    if problems := fits.problems(whole):
        raise UsageError(str(problems[0]), hint=problems[0].hint)
    return whole


def _in_memory(chain: Chain, folder: Path, trust_remote_code: bool) -> None:
    """Merge as peft does; whatever it refuses is the user's to know."""
    from peft import PeftModel

    adapters_ = [link.folder for link in chain.adapters]
    network = model_class(adapters_[-1]).from_pretrained(
        chain.base.folder, dtype="auto", trust_remote_code=trust_remote_code
    )
    for place in adapters_:
        try:
            network = PeftModel.from_pretrained(network, str(place)).merge_and_unload()
        except (ValueError, NotImplementedError, RuntimeError, AttributeError, KeyError) as cause:
            words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            raise UsageError(f"{place}: peft cannot merge this adapter: {words}") from cause
    network.save_pretrained(folder, max_shard_size="5GB")


def _write_config(base: Path, folder: Path, plan: Plan) -> None:
    config = fits.config_of(base)
    inner = config.get("text_config")
    for one in (config, inner):
        if isinstance(one, dict):
            if plan.is_untied and (one is config or "tie_word_embeddings" in one):
                one["tie_word_embeddings"] = False
            if plan.vocabulary is not None and "vocab_size" in one:
                one["vocab_size"] = plan.vocabulary
    write_json(folder / "config.json", config)


def _copy_the_rest(chain: Chain, folder: Path) -> None:
    """The tokenizer and template of the last link that has them, and the base's code and generation defaults."""
    places = [link.folder for link in (*reversed(chain.adapters), chain.base)]
    names = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "spiece.model")
    source = next((place for place in places if any((place / name).is_file() for name in names)), None)
    for file in contents.files_of(source, contents.TOKENIZER) if source else ():
        shutil.copyfile(file, folder / file.name)
    for file in contents.files_of(chain.base.folder, ("*.py",)):
        shutil.copyfile(file, folder / file.name)
    generation = next((place for place in places if (place / "generation_config.json").is_file()), None)
    if generation is not None:
        value = read_json(generation / "generation_config.json")
        write_json(folder / "generation_config.json", _with_end(value, folder) if source else value)


def _with_end(generation: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Generation also stops at the tokenizer's EOS, which training may have changed."""
    from align_cli.models import tokenizer

    loaded = tokenizer.load(folder)
    end = loaded.id_of(loaded.eos)
    known = generation.get("eos_token_id")
    ends = list(known) if isinstance(known, list) else [known] if known is not None else []
    if end is None or end in ends:
        return generation
    return {**generation, "eos_token_id": [end, *ends] if ends else end}


def _keep_stacked(chain: Chain, out: Path, record: Mapping[str, Any]) -> None:
    """All adapters of the chain as one, beside the merged model: the next one is stacked on it."""
    base = adapters.spelling(chain.base)
    first, *others = chain.adapters
    stacking.copy(first.folder, out, base=base, revision=chain.base.revision)
    for number, link in enumerate(others, 2):
        said = {**record, "adapters": list(record["adapters"])[:number]}
        stacking.stack(out, link.folder, out, chain=said)


if __name__ == "__main__":
    sys.exit(children.main(merge))
