"""Pages are imported when they are shown."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from align_cli.cli import render


def test_every_page_is_found_and_none_is_called_like_a_module():
    assert all(callable(getattr(render, name)) for name in render.__all__)
    assert not {module.name for module in pkgutil.iter_modules(render.__path__)} & set(render.__all__)


def test_a_command_imports_no_other_commands_pages():
    code = (
        "import sys; from align_cli.cli import render; render.cache; "
        "sys.exit('align_cli.cli.render.run_page' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
