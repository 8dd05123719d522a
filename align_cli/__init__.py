"""`align`: from a base model to a chat model that can be trusted, in one command.

Importing this package is cheap: nothing below it loads torch, transformers, trl, peft, accelerate, deepspeed
or datasets until a run really needs them.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
