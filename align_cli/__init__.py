"""`align`: from a base model to a chat model that can be trusted, in one command.

Importing this package is cheap: nothing below it loads torch, transformers, trl, peft, accelerate, deepspeed
or datasets until a run really needs them.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "plugins"]


def __getattr__(name: str) -> object:
    """`align_cli.plugins` without an import of its own, and only when somebody asks."""
    if name == "plugins":
        from importlib import import_module

        return import_module("align_cli.plugins")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
