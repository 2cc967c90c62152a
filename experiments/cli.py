"""The command line `prefix-rft`. Imports nothing heavy, so that help and status answer at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.exits import exits

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_WIDTH = 160
DEFAULT_SWEEP = "main_results"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prefix-RFT and its rivals: run, watch and compare. Training runs start with "
    "`python -m experiments.run --help`.",
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as on the command line of experiments.run, e.g. scale=toy store=runs."),
]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder that holds the runs.")]
RunIds = Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Run ids, or their beginnings.")]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Another profile than that of the last submission.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the report.")]
SweepAndOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SWEEP|OVERRIDE",
        help=f"A file of sweeps/ without .yaml ({DEFAULT_SWEEP} if none is named), then settings, e.g. store=runs.",
    ),
]


@app.command()
def demo(overrides: Overrides = None, out: OutOption = Path("report")) -> None:
    """Train SFT, RFT, SFT->RFT and Prefix-RFT on the embedded task, print the table, write a report."""
    with exits():
        from experiments.commands.demo import demo as run_demo

        raise typer.Exit(run_demo(overrides or [], out, _today(), _console()))


@app.command()
def plan(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|OVERRIDE",
            help=f"Files of sweeps/ as name or +sweep=name, or `all` ({DEFAULT_SWEEP} if none is named), then "
            "settings, e.g. scale=paper.",
        ),
    ] = None,
    every_run: Annotated[bool, typer.Option("--runs", help="List every run too.")] = False,
) -> None:
    """Show what sweeps would run, what of it is done, and what the rest costs; run nothing.

    With hydra/launcher=slurm cluster=NAME also the exact batch scripts and what waits for what.
    """
    with exits():
        from experiments.commands.asked import sweeps_and_overrides
        from experiments.commands.dry_run import dry_run, of_slurm
        from experiments.commands.plan import plan as print_plan

        sweeps, given = sweeps_and_overrides(asked or [])
        cluster, overrides = of_slurm(given)
        code = print_plan(sweeps, overrides, _console(), every_run=every_run)
        raise typer.Exit(code if cluster is None else dry_run(sweeps, overrides, cluster, _console()))


@app.command()
def reproduce(
    overrides: Overrides = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Sweeps, separated by commas; all of them if not given.")
    ] = None,
    out: OutOption = Path("report"),
) -> None:
    """Run every sweep, each distinct run once, and rebuild every table and figure; start again to continue."""
    with exits():
        from experiments.commands.asked import sweeps_of
        from experiments.commands.reproduce import reproduce as run_all

        raise typer.Exit(run_all(sweeps_of(only), overrides or [], out, _today(), _console()))


@app.command()
def status(store: StoreOption = Path("runs")) -> None:
    """Show every run: state, step, reward, accuracy, age, its SLURM job, and why it failed."""
    with exits():
        from experiments.commands.slurm_jobs import status as print_status
        from prefix_rft.runs.store import Store

        raise typer.Exit(print_status(Store(store), _console()))


@app.command()
def resume(runs: RunIds = None, store: StoreOption = Path("runs"), cluster: ClusterOption = None) -> None:
    """Submit to SLURM again what failed or was lost, and nothing else."""
    with exits():
        from experiments.commands.slurm_jobs import resume as submit_again
        from prefix_rft.runs.store import Store

        raise typer.Exit(submit_again(Store(store), runs or [], cluster, _console()))


@app.command()
def cancel(
    runs: RunIds = None,
    store: StoreOption = Path("runs"),
    everything: Annotated[bool, typer.Option("--all", help="Every job of the store.")] = False,
) -> None:
    """End the SLURM jobs of runs; what runs saves its work first."""
    with exits():
        from experiments.commands.slurm_jobs import cancel as end_jobs
        from prefix_rft.runs.store import Store

        raise typer.Exit(end_jobs(Store(store), runs or [], everything, _console()))


@app.command()
def logs(
    run: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    store: StoreOption = Path("runs"),
    lines: Annotated[int, typer.Option("-n", min=1, help="Lines of each file.")] = 40,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Until the run is over; Ctrl-C ends only this.")
    ] = False,
) -> None:
    """Print the end of a run's log and of its SLURM jobs' logs."""
    with exits():
        from experiments.commands.slurm_jobs import follow_logs
        from experiments.commands.slurm_jobs import logs as print_logs
        from prefix_rft.runs.store import Store

        if follow:
            raise typer.Exit(follow_logs(Store(store), run, lines))
        raise typer.Exit(print_logs(Store(store), run, lines, _console()))


@app.command()
def doctor(
    cluster: Annotated[str, typer.Argument(help="A profile of slurm/clusters, or a .yaml file.")],
    overrides: Overrides = None,
) -> None:
    """Compare a cluster's profile with the live cluster and say what to change; ends with 1 if something is."""
    with exits():
        from experiments.commands.doctor import doctor as examine

        raise typer.Exit(examine(cluster, overrides or [], _console()))


@app.command()
def table(asked: SweepAndOverrides = None) -> None:
    """Print a sweep's table as it stands."""
    with exits():
        from experiments.commands.asked import sweep_and_overrides
        from experiments.commands.report import table as print_table

        raise typer.Exit(print_table(*sweep_and_overrides(asked or []), _console()))


@app.command()
def report(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|OVERRIDE",
            help="A file of sweeps/ without .yaml, or several (every sweep of which the store has runs if none is "
            "named), then settings, e.g. store=runs.",
        ),
    ] = None,
    out: OutOption = Path("report"),
) -> None:
    """Write the report of one sweep or of all: tables (Markdown, CSV, LaTeX), figures, one HTML page."""
    with exits():
        from experiments.commands.asked import any_sweeps_and_overrides
        from experiments.commands.report import report as write
        from experiments.commands.reports import report_begun

        names, overrides = any_sweeps_and_overrides(asked or [])
        if len(names) == 1:
            raise typer.Exit(write(names[0], overrides, out, _today(), _console()))
        raise typer.Exit(report_begun(overrides, names, out, _today(), _console()))


@app.command()
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


@app.command("check-data")
def check_data(
    overrides: Overrides = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Model folder or hub name whose tokenizer measures the lengths, if not that of `model`."
        ),
    ] = None,
) -> None:
    """Count questions and demonstrations of a data set and list what cannot be used."""
    with exits():
        from experiments.commands import check_data as command

        raise typer.Exit(command.check_data(*command.prepare(overrides or [], tokenizer)))


@app.command("prepare-data")
def prepare_data(
    name: Annotated[str, typer.Argument(help="openr1: the paper's training set.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Settings of data and model, e.g. data.max_response_tokens=4096 model=llama-3.1-8b."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The JSONL file to write.")] = Path("data/openr1.jsonl"),
    file: Annotated[
        Path | None, typer.Option(help="Parquet or JSONL in the hub's layout, read in place of the hub.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Folder or hub name of the tokenizer that counts, if not that of `model`."),
    ] = None,
    wrong: Annotated[str, typer.Option(help="Demonstrations graded wrong: keep or drop.")] = "keep",
    long: Annotated[
        str, typer.Option(help="Demonstrations beyond the budget: drop, or drop_question.")
    ] = "drop",
    without: Annotated[str, typer.Option(help="Questions without a demonstration: keep or drop.")] = "keep",
    repeated: Annotated[str, typer.Option(help="Questions asked before: keep or drop.")] = "keep",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Grading processes; one a core, 8 at most, if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what stands at --out.")] = False,
) -> None:
    """Grade, measure and sort out a published data set; write questions and a report of every finding."""
    with exits():
        from experiments.commands import prepare_data as command

        code = command.prepare_data(
            name,
            overrides or [],
            out=out,
            file=file,
            tokenizer=tokenizer,
            rules={
                "wrong_demonstration": wrong,
                "long_demonstration": long,
                "no_demonstration": without,
                "repeated_question": repeated,
            },
            workers=workers,
            force=force,
            console=_console(),
        )
        raise typer.Exit(code)


@app.command("prepare-model")
def prepare_model(
    source: Annotated[
        str,
        typer.Argument(help="A model of experiments/conf/model, e.g. qwen2.5-math-7b; a folder; a hub name."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The new folder; that of experiments/conf/model if not given."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch on the hub.")] = None,
    template: Annotated[
        str | None, typer.Option(help="luffy, plain or keep; the one of the model's family if not given.")
    ] = None,
    weights: Annotated[str, typer.Option(help="copy the weights, or link to the source's files.")] = "copy",
) -> None:
    """Make a model folder ready for training: longer context, prompt, ends; write down what was changed."""
    with exits():
        from experiments.commands import prepare_model as command

        code = command.prepare(
            source, out, revision=revision, template=template, weights=weights, console=_console()
        )
        raise typer.Exit(code)


@app.command()
def audit(
    backend: Annotated[
        str, typer.Option(help="local, local_general, or verl where it is installed.")
    ] = "local",
    method: Annotated[
        list[str] | None, typer.Option("--method", help="A method; repeat it. All if not given.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
) -> None:
    """Check that no method's update depends on how its gradients are accumulated; ends with 1 if one does."""
    with exits():
        from experiments.commands.audit import audit as run_audit

        raise typer.Exit(run_audit(backend, method or [], json_path=json_file, console=_console()))


@app.command()
def contamination(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings of the training set, e.g. data=jsonl data.path=train.jsonl."),
    ] = None,
    benchmarks: Annotated[
        str, typer.Option(help="Names or groups, separated by commas: paper, general, all, aime24, ...")
    ] = "paper",
    folder: Annotated[
        Path | None,
        typer.Option(envvar="PREFIX_RFT_BENCHMARKS", help="Folder of benchmark files; the hub if not given."),
    ] = None,
    run: Annotated[int, typer.Option("--words", min=1, help="Shortest run of words that counts.")] = 13,
    listed: Annotated[int, typer.Option("--list", min=0, help="Problems listed for each benchmark.")] = 3,
    show: Annotated[bool, typer.Option("--show", help="Show the shared words: benchmark text.")] = False,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Also search for a benchmark that is not as published.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything found here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the problems found here.")] = None,
) -> None:
    """Report which benchmark problems stand in a training set; nothing is filtered."""
    with exits():
        from experiments.commands import contamination as command

        code = command.report(
            command.settings(overrides or []),
            benchmarks,
            folder,
            run=run,
            listed=listed,
            show=show,
            allow_changed=allow_changed,
            json_path=json_file,
            csv_path=csv_file,
            console=_console(),
        )
        raise typer.Exit(code)


@app.command()
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
            console=_console(),
        )
        raise typer.Exit(code)


@app.command("lighteval-documents")
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
            benchmarks, out=out, source=source, environment=environment, yes=yes, console=_console()
        )
        raise typer.Exit(code)


@app.command("eval")
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

        raise typer.Exit(measure(settings or [], _console()))


@app.command("compare")
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

        raise typer.Exit(compare(settings or [], _console()))


@app.command("leaderboard")
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
        raise typer.Exit(show(asked, _console()))


@app.command()
def dashboards(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|OVERRIDE",
            help=f"Files of sweeps/, or `all` ({DEFAULT_SWEEP} if none is named), then settings, e.g. tracking=online.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for what is not sent to a server.")] = Path(
        "dashboards"
    ),
) -> None:
    """Make a W&B workspace for each sweep and a report over them: on a server (tracking=online), or as files."""
    with exits():
        from experiments.commands.asked import sweeps_and_overrides
        from experiments.commands.dashboards import dashboards as make

        raise typer.Exit(make(*sweeps_and_overrides(asked or []), out, _console()))


@app.command()
def notebooks(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|OVERRIDE", help="Notebooks (all if none is named), then settings, e.g. store=runs."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for them.")] = Path("notebooks"),
    limit: Annotated[int, typer.Option("--limit", min=1, help="Seconds for one cell.")] = 600,
) -> None:
    """Execute the notebooks of analysis/notebooks against a store; write each as .ipynb and as one HTML page."""
    with exits():
        from experiments.commands.notebooks import notebooks as execute

        raise typer.Exit(execute(asked or [], out, _console(), limit=limit))


def main() -> None:
    """Entry point."""
    app()


def _console() -> Console:
    """Standard output; wide where it is not a terminal, so that rows stay whole in files and pipes."""
    from experiments.plain_console import PlainConsole

    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=_PLAIN_WIDTH)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    main()
