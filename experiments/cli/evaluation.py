"""Commands that measure, grade and compare models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.common import app, console
from experiments.exits import exits

PANEL = "Evaluation"


@app.command("eval", rich_help_panel=PANEL)
def evaluate(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SETTING",
            help="model=<folder, hub name or run:ID> benchmarks=paper protocol=luffy sampler=local, vllm or endpoint, "
            "...; docs/evaluation.md lists them.",
        ),
    ] = None,
) -> None:
    """Measure a model on published benchmarks under a named protocol; start again to continue."""
    with exits():
        from experiments.commands.evaluate import evaluate as measure

        raise typer.Exit(measure(settings or [], console()))


@app.command("compare", rich_help_panel=PANEL)
def compare_models(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SETTING",
            help="first=<folder of evaluations> second=<another> benchmarks=paper metric=avg out=found.parquet; "
            "docs/evaluation.md lists them.",
        ),
    ] = None,
) -> None:
    """Compare two evaluated models problem by problem: paired intervals, sign tests, Holm's correction."""
    with exits():
        from experiments.commands.compare import compare

        raise typer.Exit(compare(settings or [], console()))


@app.command("leaderboard", rich_help_panel=PANEL)
def compare_with_published(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER|SETTING",
            help="Folders of evaluations or stores of runs, then settings, e.g. source=2507.01679 sort=amc "
            "out=board.md; docs/evaluation.md lists them.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Base model of the published rows.")] = None,
    benchmarks: Annotated[
        str | None, typer.Option(help="Names or groups, separated by commas: paper, general, aime24, ...")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="avg, pass@k or maj@k.")] = None,
) -> None:
    """Show evaluated models beside published numbers, with what was measured differently noted in the cell."""
    with exits():
        from experiments.commands.leaderboard import settings, show

        asked = settings(words or [], model=model, benchmarks=benchmarks, metric=metric)
        raise typer.Exit(show(asked, console()))


@app.command(rich_help_panel=PANEL)
def grade(
    files: Annotated[list[Path], typer.Argument(help="JSONL files whose rows have gold, response, correct.")],
    extract: Annotated[
        list[str] | None, typer.Option("--extract", help="Extraction rule; repeat it for a cascade.")
    ] = None,
    marker: Annotated[
        list[str] | None, typer.Option("--marker", help="What may stand before an answer; repeat it.")
    ] = None,
    verifier: Annotated[str, typer.Option(help="math_verify or exact.")] = "math_verify",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Grading processes; one a core, 8 at most, if not given.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one verdict.")] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdicts here.")] = None,
    show: Annotated[int, typer.Option("--list", min=0, help="Disagreements shown.")] = 20,
) -> None:
    """Grade labelled responses and print the agreement with their labels."""
    with exits():
        from experiments.commands import grade as command

        code = command.grade(
            files,
            extract=extract or command.RULES,
            markers=marker or command.MARKERS,
            verifier=verifier,
            workers=workers,
            timeout_seconds=timeout,
            json_path=json_file,
            show=show,
        )
        raise typer.Exit(code)


@app.command(rich_help_panel=PANEL)
def lighteval(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Evaluations, or folders with evaluations below.")
    ],
    benchmarks: Annotated[
        Path | None,
        typer.Option(help="Folder of benchmark files; PREFIX_RFT_BENCHMARKS or the hub if not given."),
    ] = None,
    problems: Annotated[
        Path | None,
        typer.Option(help="JSONL with id, problem, answer, for evaluations that are on no benchmark."),
    ] = None,
    environment: Annotated[
        Path | None, typer.Option(help="lighteval's folder, if not PREFIX_RFT_LIGHTEVAL or .venv-lighteval.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Install lighteval where it is missing.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what lighteval reads and writes in this new folder.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything found here.")] = None,
    show: Annotated[int, typer.Option("--list", min=0, help="Disagreements listed of each evaluation.")] = 20,
) -> None:
    """Score finished evaluations again with lighteval; ends with 1 if the numbers differ for no listed reason."""
    with exits():
        from experiments.commands.lighteval_replay import replay_folders

        code = replay_folders(
            folders,
            benchmarks=benchmarks,
            problems=problems,
            environment=environment,
            yes=yes,
            keep=keep,
            json_path=json_file,
            show=show,
            console=console(),
        )
        raise typer.Exit(code)


@app.command("lighteval-documents", rich_help_panel=PANEL)
def lighteval_documents(
    benchmarks: Annotated[
        str, typer.Argument(help="arc_c, gpqa_diamond, mmlu_pro, separated by commas, or general.")
    ] = "general",
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")] = Path("data/lighteval"),
    source: Annotated[
        Path | None,
        typer.Option(help="Local copies of the hub's repositories, one under each benchmark's name."),
    ] = None,
    environment: Annotated[
        Path | None, typer.Option(help="lighteval's folder, if not PREFIX_RFT_LIGHTEVAL or .venv-lighteval.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Install lighteval where it is missing.")] = False,
) -> None:
    """Let lighteval write its prompts of multiple-choice benchmarks as benchmark files for any sampler."""
    with exits():
        from experiments.commands.lighteval_replay import documents

        code = documents(
            benchmarks, out=out, source=source, environment=environment, yes=yes, console=console()
        )
        raise typer.Exit(code)
