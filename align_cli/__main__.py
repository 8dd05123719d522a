"""The entry point of the `align` command.

`--version` is answered before anything else is imported, so that it costs no more than starting Python.
"""

from __future__ import annotations

import io
import sys


def main() -> int:
    """Run one command line; the value is the exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from align_cli import __version__

        sys.stdout.write(f"align {__version__}\n")
        return 0
    from align_cli.cli.app import run

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows a question mark
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
