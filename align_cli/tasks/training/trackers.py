"""Trackers (TensorBoard, W&B, Trackio, …) that fail report it once and are silent from then on: the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def guard(trainer: Any, say: Callable[[str], None]) -> None:
    """Wrap every reporting callback of `trainer`, so that none of its events can end the training."""
    from transformers.integrations import INTEGRATION_TO_CALLBACK

    kinds = tuple(INTEGRATION_TO_CALLBACK.values())
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, kinds):
            _guard(callback, say)


def _guard(callback: Any, say: Callable[[str], None]) -> None:
    name = type(callback).__name__.removesuffix("Callback")
    broken = False

    def safe(event: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal broken
            if broken:
                return None
            try:
                return event(*args, **kwargs)
            except Exception as cause:  # noqa: BLE001 - whatever a tracker does must not end a training
                broken = True
                words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
                say(f"warning: {name} failed and gets no more metrics ({words}); training goes on")
                return None

        return call

    for event in [attribute for attribute in dir(callback) if attribute.startswith("on_")]:
        setattr(callback, event, safe(getattr(callback, event)))
