"""`align launch`: shipped launch blocks, what this machine brings to a launch, and jobs for clusters."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli.cli import complete, documents, launch_jobs
from align_cli.cli.launch_jobs import Delivery
from align_cli.cli.words import OptionsCommand
from align_cli.errors import LaunchError, UsageError

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_WORDS = {**_SETTINGS, "allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    help="List launch presets, look at this machine, write jobs for clusters.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings=_SETTINGS,
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE [KEY=VALUE]",
        help="A recipe (file or shipped name), then overrides, as for align train.",
        autocompletion=complete.words,
    ),
]
_Task = Annotated[
    str | None,
    typer.Option("--task", help="The task, where path and keys do not tell.", autocompletion=complete.tasks),
]
_Nodes = Annotated[
    int | None, typer.Option("--nodes", metavar="N", help="Machines; else the recipe's launch.num_machines.")
]
_Name = Annotated[str | None, typer.Option("--name", help="What the job is called; else the recipe's name.")]
_Setup = Annotated[
    list[str] | None, typer.Option("--setup", metavar="LINE", help="A line of shell to run first; may be repeated.")
]
_Output = Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace a file that was edited or written by others.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the file; write and submit nothing.")]


@app.command("ls")
def list_presets(as_json: _Json = False) -> None:
    """List the launch blocks that come with align (launch.preset=NAME)."""
    from align_cli.launch import presets

    found = [presets.read(name) for name in presets.names()]
    rows = [{"name": item.name, "summary": item.summary, "launch": item.body, "path": str(item.path)} for item in found]
    if as_json:
        documents.write(rows, sys.stdout)
        return
    from align_cli.cli import render

    render.presets(rows)


@app.command("env")
def environment(
    machines: Annotated[
        str | None,
        typer.Option("--machines", metavar="HOST[,HOST…]", help="Try to reach these machines; HOST may be HOST:PORT."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port to look at here and to try there; else 29500.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Show what this machine brings, and which others it reaches.

    Exit code 4 if one of them does not answer.
    """
    from align_cli.launch.cluster import machine, reach

    number = machine.DEFAULT_PORT if port is None else port
    if not 1 <= number <= 65534:
        raise UsageError(f"--port is {number}, expected 1 to 65534")
    attempts = reach.attempts(reach.targets(machines, number)) if machines else []
    view = {
        "machine": machine.inspect(number).as_dict(),
        "machines": [attempt.as_dict() for attempt in attempts],
    }
    if as_json:
        documents.write(view, sys.stdout)
    else:
        from align_cli.cli import render

        render.environment(view)
    if not all(attempt.is_there for attempt in attempts):
        raise typer.Exit(LaunchError.exit_code)


@app.command(
    "slurm",
    cls=OptionsCommand,
    context_settings=_WORDS,
    epilog="The words of the Handbook's launch.slurm are understood as well: MODEL TASK PRECISION ACCELERATOR 'ARGS'.",
)
def slurm(
    ctx: typer.Context,
    words: _Words = None,
    task: _Task = None,
    nodes: _Nodes = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus-per-node", metavar="N", help="GPUs of each node, one process each; 0: none."),
    ] = None,
    partition: Annotated[str | None, typer.Option("--partition", help="As for sbatch.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="As for sbatch.")] = None,
    qos: Annotated[str | None, typer.Option("--qos", help="As for sbatch.")] = None,
    time: Annotated[str | None, typer.Option("--time", help="As for sbatch, e.g. 12:00:00.")] = None,
    cpus: Annotated[
        int | None, typer.Option("--cpus-per-task", metavar="N", help="Cores of each node; one task is one node.")
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option("--sbatch", metavar="OPTION", help="Any other option of sbatch; may be repeated."),
    ] = None,
    module: Annotated[
        list[str] | None, typer.Option("--module", metavar="NAME", help="A module to load; may be repeated.")
    ] = None,
    venv: Annotated[
        str | None, typer.Option("--venv", metavar="DIR", help="The virtual environment that has align.")
    ] = None,
    setup: _Setup = None,
    name: _Name = None,
    logs: Annotated[str | None, typer.Option("--logs", metavar="DIR", help="Folder for logs; else here.")] = None,
    grace: Annotated[
        int, typer.Option("--grace", metavar="SECONDS", help="Time before --time ends to save and queue again.")
    ] = 120,
    output: _Output = None,
    submit: Annotated[bool, typer.Option("--submit", help="Submit it with sbatch; prints the job's number.")] = False,
    dry_run: _DryRun = False,
    force: _Force = False,
    as_json: _Json = False,
    model: Annotated[str | None, typer.Option("--model", help="launch.slurm's word.")] = None,
    config: Annotated[str | None, typer.Option("--config", help="The recipe; with --model launch.slurm's.")] = None,
    accelerator: Annotated[str | None, typer.Option("--accelerator", help="launch.slurm's word.")] = None,
    dp: Annotated[int | None, typer.Option("--dp", help="launch.slurm's word; without effect.")] = None,
    tp: Annotated[int | None, typer.Option("--tp", help="launch.slurm's word; without effect.")] = None,
    args: Annotated[str | None, typer.Option("--args", help="launch.slurm's word: overrides in one word.")] = None,
) -> None:
    """Write an sbatch file that runs and resumes a recipe on N nodes."""
    from align_cli.launch.cluster import command, handbook
    from align_cli.launch.cluster.slurm import SlurmJob, render

    if model is not None:
        if task is None:
            raise UsageError("--model needs --task", hint=f"--model {model} --task sft --config full")
        found = handbook.asked(model, task, config or "config", accelerator or "", args or "")
        meant = launch_jobs.Words(task=found.task, words=(found.recipe, *found.overrides, *ctx.args), is_handbook=True)
        if dp is not None or tp is not None:
            launch_jobs.say("note: --dp and --tp were for a vLLM server that none of these tasks needs")
    else:
        meant = launch_jobs.understood(ctx.args, task, config)
    recipe = launch_jobs.checked(meant)
    num_nodes = recipe.launch.num_machines if nodes is None else nodes
    num_gpus = command.gpus_of(recipe) if gpus is None else gpus
    if num_gpus is None:
        num_gpus = handbook.GPUS_PER_NODE if meant.is_handbook else None
    if num_gpus is None:
        raise UsageError("nothing says how many GPUs a node has", hint="--gpus-per-node 8, or 0 for none")
    if not num_gpus and recipe.launch.num_processes == "auto" and recipe.launch.strategy != "single":
        hint = f"launch.num_processes={max(num_nodes, 1)} is one a node: it counts those of all nodes together"
        raise UsageError("without GPUs nothing says how many processes a node runs", hint=hint)
    job = SlurmJob(
        name=name or command.name_of(recipe),
        nodes=num_nodes,
        gpus_per_node=num_gpus,
        directory=os.getcwd(),
        log=os.path.join(os.path.abspath(logs), "%x-%j.out") if logs else "%x-%j.out",
        partition=partition,
        account=account,
        qos=qos,
        time=time,
        cpus_per_task=cpus,
        port=recipe.launch.main_process_port,
        grace_s=grace,
        modules=tuple(module or ()),
        venv=os.path.abspath(os.path.expanduser(venv)) if venv else None,
        setup=tuple(setup or ()),
        directives=tuple(sbatch or ()),
    )
    path = Path(output) if output else command.file_of(recipe, ".slurm")
    text = render(launch_jobs.for_job(meant, recipe, num_nodes, num_gpus), job)
    if logs and not dry_run:
        Path(logs).mkdir(parents=True, exist_ok=True)  # Slurm makes no folders: the job would fail without a word
    how = Delivery(dry_run=dry_run, submit=submit, force=force, as_json=as_json)
    hint = "run this where sbatch is, or take the file there and run sbatch FILE"
    launch_jobs.deliver(text, path, how, ["sbatch", "--parsable", str(path)], hint)


@app.command("sky", cls=OptionsCommand, context_settings=_WORDS)
def sky(
    ctx: typer.Context,
    words: _Words = None,
    task: _Task = None,
    nodes: _Nodes = None,
    gpus: Annotated[
        str | None, typer.Option("--gpus", metavar="NAME[:N]", help="GPUs of each machine, e.g. H100:8.")
    ] = None,
    infra: Annotated[str | None, typer.Option("--infra", help="Cloud, region, zone; else the cheapest.")] = None,
    spot: Annotated[bool, typer.Option("--spot", help="Machines that may be taken away, as a managed job.")] = False,
    disk: Annotated[int | None, typer.Option("--disk-size", metavar="GB", help="Disk of each machine.")] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="BUCKET", help="Keep the output there: a name or s3://NAME.")
    ] = None,
    workdir: Annotated[
        str | None, typer.Option("--workdir", metavar="DIR", help="Folder that is copied there; else this one.")
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NAME", help="Pass on a variable, e.g. HF_TOKEN; may be repeated."),
    ] = None,
    setup: _Setup = None,
    name: _Name = None,
    output: _Output = None,
    submit: Annotated[bool, typer.Option("--submit", help="Launch it with sky, which asks before it costs.")] = False,
    dry_run: _DryRun = False,
    force: _Force = False,
    as_json: _Json = False,
) -> None:
    """Write a SkyPilot task that runs a recipe on machines of a cloud."""
    from align_cli.launch.cluster import command
    from align_cli.launch.cluster.sky import SkyTask, parse_accelerators, render

    meant = launch_jobs.understood(ctx.args, task)
    recipe = launch_jobs.checked(meant)
    if gpus is None and not recipe.get("use_cpu"):
        raise UsageError("nothing says which GPUs", hint="--gpus H100:8, or use_cpu=true for none")
    job = SkyTask(
        name=name or command.name_of(recipe),
        nodes=recipe.launch.num_machines if nodes is None else nodes,
        accelerators=parse_accelerators(gpus, recipe) if gpus else None,
        workdir=workdir or ".",
        infra=infra,
        spot=spot,
        disk_size=disk,
        store=store,
        setup=tuple(setup or ()),
        secrets=tuple(secret or ()),
    )
    path = Path(output) if output else command.file_of(recipe, ".sky.yaml")
    text = render(launch_jobs.for_job(meant, recipe, job.nodes, job.gpus), job)
    if spot and not store:
        launch_jobs.say("note: without --store a machine that is taken away takes its checkpoints along")
    passed = [word for item in job.secrets for word in ("--secret", item)]
    start = ["sky", "jobs", "launch", "--name", job.name] if spot else ["sky", "launch", "--cluster", job.name]
    how = Delivery(dry_run=dry_run, submit=submit, force=force, as_json=as_json)
    hint = "pip install skypilot in an environment of its own, then sky launch FILE"
    launch_jobs.deliver(text, path, how, [*start, *passed, str(path)], hint)
