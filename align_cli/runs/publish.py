"""The finished model on the Hub, if the recipe asks: after everything is saved, and never able to lose it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from align_cli.recipe import secrets
from align_cli.recipe.schema import Recipe

#: Checkpoints, tracker logs and what is only of use on this machine stay here.
_STAYS = (
    "checkpoint-*",
    "runs/*",
    "wandb/*",
    ".*",
    "training_args.bin",
    # Names of local files, and a row of the training data, which may be nobody else's business.
    *(f"align/{name}" for name in ("lock", "manifest.json", "mixture.json", "plan.json", "preparation.json")),
    "align/recipe.json",
    "align/failure-*.json",
)


class PublishFailed(Exception):
    """The push did not work; the message is one line, without secrets."""


def publish(run_dir: Path, recipe: Recipe, *, say: Callable[[str], None]) -> str | None:
    """Push the run's model and card; the address, or None where the recipe does not ask for it.

    Raises:
        PublishFailed: whatever went wrong, in one line.
    """
    if not recipe.values.get("push_to_hub"):
        return None
    try:
        from huggingface_hub import HfApi

        api = HfApi(token=os.environ.get("HF_TOKEN") or None)
        name = str(recipe.values.get("hub_model_id") or run_dir.resolve().name)
        private = recipe.values.get("hub_private_repo")
        created = api.create_repo(repo_id=name, private=private, exist_ok=True)
        revision = recipe.values.get("hub_revision")
        if revision:
            api.create_branch(repo_id=created.repo_id, branch=revision, exist_ok=True)
        say(f"publishing to {created.repo_id}")
        api.upload_folder(
            repo_id=created.repo_id,
            folder_path=run_dir,
            ignore_patterns=list(_STAYS),
            revision=revision,
            commit_message=f"Trained with align ({recipe.task})",
        )
        return str(created)
    except Exception as cause:  # whatever a network can do must not undo a training
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        hidden = tuple(value for key, value in os.environ.items() if secrets.is_secret(key) and value)
        raise PublishFailed(secrets.scrub(words, hidden)) from cause
