"""`align model`: look at a model or adapter, merge an adapter into its base, write it for llama.cpp, push it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from align_cli import stdout
from align_cli.cli import documents
from align_cli.cli.models import model_push
from align_cli.errors import UsageError

app = typer.Typer(
    help="Look at models and adapters; merge, export and push them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Base = Annotated[
    str | None, typer.Option("--base", metavar="MODEL", help="The adapter's base, instead of the one it names.")
]
_Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a model on the Hub.")]
_Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with the model.")]


@app.command("info")
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a run, a .gguf file, or a Hub id.")],
    base: _Base = None,
    revision: _Revision = None,
    as_json: _Json = False,
) -> None:
    """Print what a model or adapter is.

    From headers and JSON files alone: nothing is fetched and nothing converted.
    """
    from align_cli.cli.models.model_names import chain
    from align_cli.models import describe
    from align_cli.models.adapters import lora
    from align_cli.models.finding import places

    try:
        found = describe.describe(
            chain(model, revision=revision, base=base, only_here=True, say=_say, verb="model info")
        )
    except UsageError as error:
        place = places.here(model)
        if base or revision or place is None or not lora.is_adapter(place):
            raise
        found = describe.describe_alone(place, model, error.message)
    view = found.as_dict()
    if as_json:
        documents.write(view, sys.stdout)
        return
    from align_cli.cli import render

    render.model(view, sys.stdout)


@app.command("merge")
def merge(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="A folder, a run, or a Hub id.")],
    to: Annotated[str | None, typer.Argument(metavar="TO", help="The new folder; else ADAPTER-merged.")] = None,
    base: _Base = None,
    revision: _Revision = None,
    base_revision: Annotated[str | None, typer.Option("--base-revision", help="The same for its base.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier merge; move whatever else is there aside.")
    ] = False,
    trust_remote_code: _Trust = False,
    as_json: _Json = False,
) -> None:
    """Merge an adapter into its base.

    Shard by shard; done when the logits of both agree.
    """
    from align_cli.cli import render
    from align_cli.cli.models.model_names import chain
    from align_cli.models.adapters import merging
    from align_cli.runs import directory

    with stdout.reserved() as result:
        found = chain(
            adapter,
            revision=revision,
            base=base,
            base_revision=base_revision,
            trust_remote_code=trust_remote_code,
            say=_say,
            verb="model merge",
        )
        out = Path(to) if to else default_target(adapter)
        if directory.is_at_work(out):
            raise UsageError(f"{out}: a run is at work there", hint="choose another folder, or wait for it")
        with render.steps(sys.stderr) as moments:
            record = merging.merge(
                found,
                out,
                force=force,
                trust_remote_code=trust_remote_code,
                say=moments.say,
                on_progress=moments.progress,
            )
        view = {"folder": str(out), **record}
        if as_json:
            documents.write(view, result)
        else:
            render.merged(view, merging.sentence(record["verified"]), result)


@app.command("export")
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, a folder, or a Hub id; adapters are merged.")],
    to: Annotated[str | None, typer.Argument(metavar="TO", help="The new file; else MODEL.gguf.")] = None,
    gguf: Annotated[bool, typer.Option("--gguf", help="As one file for llama.cpp and what is built on it.")] = False,
    outtype: Annotated[str, typer.Option("--outtype", help="auto, f32, f16, bf16 or q8_0.")] = "auto",
    converter: Annotated[
        str | None, typer.Option("--converter", metavar="PATH", help="A llama.cpp checkout, or its converter.")
    ] = None,
    base: _Base = None,
    revision: _Revision = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a model for llama.cpp.

    With its own converter; the file is read back and compared with the model.
    """
    from align_cli.cli import render
    from align_cli.cli.models import model_names
    from align_cli.models import gguf_export
    from align_cli.models.adapters import merging

    if not gguf:
        raise UsageError("the format is not named", hint="add --gguf")
    if outtype not in gguf_export.OUTTYPES:
        raise UsageError(f'there is no type "{outtype}"', hint=f"one of {', '.join(gguf_export.OUTTYPES)}")
    with stdout.reserved() as result:
        model_names.demand(model, verb="model export --gguf")
        out = Path(to) if to else _gguf_target(model)
        gguf_export.demand_target(out, force=force)
        tool = gguf_export.find_converter(converter)
        gguf_export.demand_packages(tool)
        found = model_names.chain(model, revision=revision, base=base, say=_say, verb="model export --gguf")
        folder = merging.stage(found, say=_say) if found.adapters else found.base.folder
        compared = gguf_export.export(folder, out, tool, outtype=outtype, say=_say)
        view = {"file": str(out), "bytes": out.stat().st_size, "model": found.names, "compared": compared}
        if as_json:
            documents.write(view, result)
        else:
            render.exported(view, gguf_export.sentence(compared), result)


def _gguf_target(model: str) -> Path:
    """`runs/sft` -> `runs/sft.gguf`; a model of the Hub goes into the current folder, by its name."""
    place = Path(model).expanduser()
    if place.exists():
        return Path(f"{place.absolute() if place.name in ('', '..') else place}.gguf")
    return Path(f"{place.stem if place.suffix == '.gguf' else place.name}.gguf")


def default_target(adapter: str) -> Path:
    """`runs/sft` -> `runs/sft-merged`; an adapter of the Hub goes into the current folder, by its name."""
    place = Path(adapter).expanduser()
    if place.exists():
        resolved = Path(place.absolute())
        return place.with_name(f"{place.name}-merged") if place.name else Path(f"{resolved}-merged")
    return Path(f"{place.name}-merged")


def _say(line: str) -> None:
    from align_cli.cli.errors import without_secrets

    sys.stderr.write(without_secrets(line) + "\n")
    sys.stderr.flush()


model_push.register(app)
