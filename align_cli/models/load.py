"""Model, tokenizer and adapter as the trainer takes them; torch is imported when a function is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from align_cli.errors import LaunchError, UsageError
from align_cli.models.adapters.chains import stage_of
from align_cli.models.fitting import is_name
from align_cli.recipe.schema import Recipe


def tokenizer(
    folder: Path,
    *,
    special: Mapping[str, str],
    added: Sequence[str],
    chat_template: str | None,
    trust_remote_code: bool,
) -> Any:
    """The transformers tokenizer that will be saved with the model.

    `special` and `added` are what the data were tokenised with, so that ids agree; a template of None keeps its own.
    """
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if added:
        loaded.add_special_tokens({"additional_special_tokens": list(added)})
    for name, text in special.items():
        if getattr(loaded, name, None) != text:
            setattr(loaded, name, text)
    if chat_template is not None:
        loaded.chat_template = chat_template
    return loaded


def model(folder: Path, recipe: Recipe) -> Any:
    """The language model in `folder`, as the recipe's model keys say (dtype, attention, quantisation).

    It is named as the recipe names it where others can find that name, so that an adapter trained on it does not
    point into our cache. Adapters that were merged to be trained on keep their folder's name until the run is saved:
    see `stacking.settle`.

    Raises:
        UsageError: the folder's weights cannot be read.
        LaunchError: quantisation needs what is not here.
    """
    from trl.trainer.utils import create_model_from_path

    return _load(create_model_from_path, folder, recipe)


def scorer(folder: Path, recipe: Recipe) -> Any:
    """The model in `folder` with one score in place of its LM head; a missing score's layer is made at random.

    Raises: as `model`.
    """
    from transformers import AutoModelForSequenceClassification, set_seed
    from trl.trainer.reward_trainer import suppress_seqcls_warning
    from trl.trainer.utils import create_model_from_path

    def create(name: str, **kwargs: Any) -> Any:
        with suppress_seqcls_warning():
            return create_model_from_path(name, AutoModelForSequenceClassification, num_labels=1, **kwargs)

    set_seed(int(recipe.get("seed", 42)))
    return _load(create, folder, recipe)


def _load(create: Callable[..., Any], folder: Path, recipe: Recipe) -> Any:
    kwargs: dict[str, Any] = {
        "dtype": recipe.get("dtype") or "float32",
        "attn_implementation": recipe.get("attn_implementation"),
        "trust_remote_code": bool(recipe.get("trust_remote_code")),
        **(recipe.get("model_init_kwargs") or {}),
    }
    kwargs.pop("revision", None)  # the folder is of that revision already
    if (config := _quantisation(recipe)) is not None:
        kwargs["quantization_config"] = config
    try:
        loaded = create(str(folder), **kwargs)
    except (OSError, ValueError, RuntimeError) as cause:
        raise UsageError(f"{folder}: this model cannot be loaded: {_first_line(cause)}", hint=_hint(cause)) from cause
    except Exception as cause:
        if type(cause).__name__ != "SafetensorError":  # a damaged file; the class lives in a compiled module
            raise
        raise UsageError(
            f"{folder}: the weights are damaged: {_first_line(cause)}", hint="fetch the model again"
        ) from cause
    if not recipe.get("use_peft"):
        _own_memory(loaded)
    name = str(recipe.get("model_name_or_path") or "")
    if name and "://" not in name and not name.endswith(".gguf") and stage_of(folder) is None:
        path = Path(name).expanduser()
        loaded.config._name_or_path = str(path.resolve()) if path.exists() else name
        loaded.name_or_path = loaded.config._name_or_path
    return loaded


def adapter(recipe: Recipe, *, task_type: str = "CAUSAL_LM") -> Any:
    """The LoRA configuration of the recipe, or None for full fine-tuning; `task_type` where the recipe has none."""
    if not recipe.get("use_peft"):
        return None
    if find_spec("peft") is None:
        raise LaunchError("use_peft needs the package peft", hint="pip install peft")
    from peft import LoraConfig

    targets = recipe.get("lora_target_modules")
    if isinstance(targets, list | tuple):
        # One entry may be a pattern or "all-linear", which peft takes as a string only; a name only in a list.
        targets = targets[0] if len(targets) == 1 and not is_name(targets[0]) else list(targets)
    return LoraConfig(
        task_type=recipe.values.get("lora_task_type") or task_type,
        r=recipe.get("lora_r"),
        target_modules=targets,
        target_parameters=recipe.get("lora_target_parameters"),
        lora_alpha=recipe.get("lora_alpha"),
        lora_dropout=recipe.get("lora_dropout"),
        bias="none",
        use_rslora=recipe.get("use_rslora"),
        use_dora=recipe.get("use_dora"),
        modules_to_save=recipe.get("lora_modules_to_save"),
    )


def _quantisation(recipe: Recipe) -> Any:
    """The configuration of bitsandbytes for `load_in_4bit` and `load_in_8bit`, or None."""
    four, eight = bool(recipe.get("load_in_4bit")), bool(recipe.get("load_in_8bit"))
    if not four and not eight:
        return None
    import torch

    if find_spec("bitsandbytes") is None or not torch.cuda.is_available():
        key = "load_in_4bit" if four else "load_in_8bit"
        missing = "a CUDA device" if not torch.cuda.is_available() else "the package bitsandbytes"
        raise LaunchError(f"{key} needs {missing}", hint=f"--adapt trains without {key}")
    from transformers import BitsAndBytesConfig

    if eight:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=recipe.get("dtype"),  # as TRL: the arithmetic's dtype is the weights'
        bnb_4bit_quant_type=recipe.get("bnb_4bit_quant_type"),
        bnb_4bit_use_double_quant=recipe.get("use_bnb_nested_quant"),
        bnb_4bit_quant_storage=recipe.get("bnb_4bit_quant_storage"),
    )


def _own_memory(loaded: Any) -> None:
    """Copy weights that are pages of the mapped file into memory of their own.

    The optimiser's first step would otherwise copy them page by page, as it writes: for SmolLM2-135M on two cores
    1.7 s instead of 0.3 s, and 0.3 s for the copy in one go.
    """
    for parameter in loaded.parameters():
        if parameter.device.type == "cpu" and parameter.requires_grad:
            parameter.data = parameter.data.clone()


def _first_line(cause: BaseException) -> str:
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _hint(cause: BaseException) -> str:
    if "trust_remote_code" in str(cause):
        return "trust_remote_code: true runs the Python code that comes with the model; set it if you trust its authors"
    return "see that the folder holds a whole model: config.json and its safetensors files"
