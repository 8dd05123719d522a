"""Work shared out by Ray Data: over the cluster that RAY_ADDRESS names, else over processes of a Ray of our own."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from align_cli import cores
from align_cli.errors import AlignError, UsageError

Item = TypeVar("Item")
Made = TypeVar("Made")


_RETRIES = 1  # of an item whose worker was lost; left alone, Ray Data tries for ever

_LONGEST_FOLDER = 24  # characters: Ray's sockets lie below, and a socket's path must be short


class Ray:
    """A Ray cluster. Its nodes need this package and see the data under the same paths; results travel back."""

    name = "ray"
    shares_disk = False

    def __init__(self, workers: int | None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "the engine ray is not installed", hint="pip install 'align-cli[ray]', or leave --engine out"
            )
        self.workers = workers

    def map(self, work: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
        """See `Engine.map`.

        Raises:
            AlignError: the cluster cannot be reached, or it lost a worker again and again.
        """
        if not items:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # A thread of Ray Data that outlives the work would start a Ray of its own, and nobody would stop it.
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        import ray

        try:
            with _running(ray, self.workers):
                yield from _map(work, items, self.workers)
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines()
            raise AlignError(
                f"the Ray cluster failed: {lines[-1] if lines else type(error).__name__}",
                hint="look at its logs, or leave --engine out",
            ) from error


@contextmanager
def _running(ray: Any, workers: int | None) -> Iterator[None]:
    """A Ray that is there already, else the one of RAY_ADDRESS, else one on this machine for as long as it takes."""
    if ray.is_initialized():
        yield
        return
    address, scratch = os.environ.get("RAY_ADDRESS"), None
    options: dict[str, Any] = {"address": address}
    if not address:
        folder = tempfile.gettempdir()
        scratch = tempfile.mkdtemp(prefix="align-ray-", dir=folder if len(folder) <= _LONGEST_FOLDER else "/tmp")  # noqa: S108
        options = {"address": "local", "num_cpus": workers or cores.usable(), "_temp_dir": scratch}
    try:
        try:
            ray.init(
                include_dashboard=False if scratch else None, logging_level="error", log_to_driver=False, **options
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise AlignError(
                f"no Ray could be had: {str(error).splitlines()[0]}", hint="look at RAY_ADDRESS, or leave --engine out"
            ) from error
        yield
    finally:
        ray.shutdown()
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def _map(work: Callable[[Item], Made], items: Sequence[Item], workers: int | None) -> Iterator[Made]:
    """Each item is a block of its own. They go pickled, as Ray Data's columns hold Arrow values and not our classes."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised
    rows = [{"item": pickle.dumps(item)} for item in items]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 2.60 to 2.63 have no other way to say max_retries
        context = ray.data.DataContext.get_current().copy()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        with ray.data.DataContext.current(context):
            data = ray.data.from_items(rows, override_num_blocks=len(rows))
            made = data.map(
                _Worker(pickle.dumps(work)),
                compute=ray.data.TaskPoolStrategy(size=workers),
                ray_remote_args_fn=lambda: {"max_retries": _RETRIES},
            )
    for row in made.iter_rows():
        result, error = pickle.loads(row["made"])  # noqa: S301  made by our own workers
        if error is not None:
            raise error
        yield result


class _Worker:
    """The work, as Ray Data calls it."""

    def __init__(self, work: bytes) -> None:
        self._work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row with the pickled pair of result and error."""
        try:
            made: Any = (pickle.loads(self._work)(pickle.loads(row["item"])), None)  # noqa: S301
        except Exception as error:  # noqa: BLE001  Ray would wrap it; it is raised as it was by the caller
            made = (None, error)
        return {"made": pickle.dumps(made)}
