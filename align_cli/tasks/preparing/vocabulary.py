"""Whether the model has an embedding for every token of the tokenizer that the rows are made with."""

from __future__ import annotations

from pathlib import Path

from align_cli.errors import Problem, RecipeError
from align_cli.models.adapters import fits
from align_cli.models.finding import headers
from align_cli.recipe.schema import Recipe
from align_cli.tasks.preparing.settings import Chosen


def check(recipe: Recipe, chosen: Chosen, model: Path) -> list[str]:
    """What happens to tokens without an embedding, in sentences; nothing where every token has one.

    Tokens that the recipe adds get new embeddings. Nothing is said of a folder whose weights are no safetensors.

    Raises:
        RecipeError: the tokenizer comes with tokens that the model does not know.
    """
    tensors = headers.weights(model)
    name = fits.embedding_in(tensors)
    if name is None:
        return []
    known = tensors[name].shape[0]
    needed = 1 + max(chosen.tokenizer.backend.get_vocab(with_added_tokens=True).values(), default=-1)
    if needed <= known:
        return []
    added = len(chosen.tokenizer.added)
    if needed - added > known:
        key = "tokenizer_name_or_path" if recipe.get("tokenizer_name_or_path") else "model_name_or_path"
        said = f"the tokenizer in {chosen.tokenizer.folder} has {needed:,} tokens, the model's embeddings are {known:,}"
        hint = "use the model's own tokenizer, or one that was made for it"
        raise RecipeError("the tokenizer does not fit the model", problems=[Problem(said, key, hint)])
    notes = [f"the model gets {needed - known:,} new embeddings, for {', '.join(chosen.tokenizer.added)}"]
    saved = set(recipe.get("lora_modules_to_save") or ())
    if recipe.get("use_peft") and not saved & set(fits.EMBEDDINGS):
        which = name.removesuffix(".weight").rpartition(".")[2]
        last = chosen.tokenizer.added[-1]
        notes.append(
            f"the adapter does not train new embeddings: the model may not learn to use {last} "
            f"(lora_modules_to_save: [{which}, lm_head])"
        )
    return notes
