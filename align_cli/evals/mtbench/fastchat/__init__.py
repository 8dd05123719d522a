"""FastChat's files, read and written: `model_answer/MODEL.jsonl`, `model_judgment/JUDGE_single.jsonl`, `…_pair.jsonl`.

As FastChat @0e6d3e4 fastchat/llm_judge has them, to the order of the fields.
"""

from __future__ import annotations

from align_cli.evals.mtbench.fastchat.exporting import export_fastchat
from align_cli.evals.mtbench.fastchat.importing import import_fastchat

__all__ = ["export_fastchat", "import_fastchat"]
