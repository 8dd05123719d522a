"""`align eval arena report`, `import` and `export`: ratings of models by battles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to `align eval arena`."""

    @app.command("report")
    def report(
        places: Annotated[list[Path], typer.Argument(metavar="BATTLES...", help="Files of battles.")],
    ) -> None:
        """Rate the models by the votes."""

    @app.command("export")
    def export_battles(
        places: Annotated[list[Path], typer.Argument(metavar="BATTLES...", help="Files of battles.")],
    ) -> None:
        """Write battles in Chatbot Arena's format."""
