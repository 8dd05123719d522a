"""Keep stdout for our result, whatever the libraries print.

Libraries print to file descriptor 1 from Python and from C. While `reserved()` is active, descriptor 1 goes to
stderr and only the stream it yields reaches the real stdout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def reserved() -> Iterator[TextIO]:
    """Yield the real stdout; everything else that is written to descriptor 1 goes to stderr meanwhile."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        with os.fdopen(os.dup(saved), "w", encoding="utf-8") as result:
            yield result
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
