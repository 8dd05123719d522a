"""One run by workers, again after a failure as often as was allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from align_cli.errors import Interrupted, LaunchError, TrainingError, UsageError
from align_cli.launch.plan import Plan
from align_cli.launch.workers import blame, ports, supervise
from align_cli.launch.workers.crew import Crew
from align_cli.launch.workers.machines import Machines

_GOES_ON = "the same command goes on from the last checkpoint"


def crew_of(
    plan: Plan, *, env: Mapping[str, str], logs: Path, failure: Callable[[int], Path], threads_set: bool = False
) -> Crew:
    """The workers of this machine for `plan`; `env` are further variables of theirs.

    Raises:
        LaunchError: the port that was asked for is in use.
    """
    host, _, port = plan.main_process.partition(":")
    local = plan.local_processes
    variables = {**plan.env, **env}
    if plan.threads_per_process and not threads_set:
        variables["OMP_NUM_THREADS"] = str(plan.threads_per_process)
    if plan.num_machines == 1 and port:
        ports.demand_free(int(port))
    if plan.num_machines > 1:
        port = str(int(port) + 1)  # the supervisors talk on the one that was named
    return Crew(
        argv=plan.argv,
        env=variables,
        local=local,
        first=plan.machine_rank * local,
        world=plan.num_processes,
        address=host,
        port=int(port) if port else ports.free(host),
        logs=logs,
        failure=failure,
    )


def run(
    crew: Crew,
    *,
    max_restarts: int,
    on_event: Callable[[str, Any], None],
    say: Callable[[str], None],
    link: Machines | None = None,
    patience: float = 600.0,
) -> dict[str, Any]:
    """Start the workers and see them through; the value is the first one's result, empty on other machines than 0.

    `patience`: seconds to wait for the other machines before each attempt.

    Raises:
        TrainingError: a worker failed once more than restarts were allowed, or a machine is gone; another error where
            a worker itself said so.
        Interrupted: somebody asked to stop.
        LaunchError: the workers cannot be started.
    """
    orderly = False
    try:
        for attempt in range(max_restarts + 1):
            if link is not None:
                port = crew.port if attempt == 0 else ports.free("")
                crew = replace(crew, port=link.meet(attempt, port=port, seconds=patience), interface=link.interface)
            elif attempt:
                crew = replace(crew, port=ports.free(crew.address))
            try:
                result = supervise.run(crew, attempt=attempt, on_event=on_event, link=link)
            except supervise.Failed as failed:
                log = crew.logs / f"rank-{failed.failure.rank}.log"
                error = blame.as_error(failed.failure, world=crew.world, hint=_GOES_ON, log=log)
                if attempt == max_restarts or isinstance(error, LaunchError | UsageError):
                    raise error from None
                again = f"restart {attempt + 1} of {max_restarts} goes on from the last checkpoint"
                say(f"warning: {error.message}; {again}")
            except supervise.Lost as lost:
                raise TrainingError(str(lost), hint=f"look at what align says there; {_GOES_ON}") from None
            else:
                orderly = True
                return result
    except Interrupted:
        orderly = True
        raise
    finally:
        if link is not None:
            link.close(orderly=orderly)
    raise AssertionError("the last attempt returns or raises")
