"""Commands that make ready what is trained on, and look into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.common import Overrides, app, console
from experiments.exits import exits

PANEL = "Data and models"


@app.command("check-data", rich_help_panel=PANEL)
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


@app.command("prepare-data", rich_help_panel=PANEL)
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
            console=console(),
        )
        raise typer.Exit(code)


@app.command("prepare-model", rich_help_panel=PANEL)
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
            source, out, revision=revision, template=template, weights=weights, console=console()
        )
        raise typer.Exit(code)


@app.command(rich_help_panel=PANEL)
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
            console=console(),
        )
        raise typer.Exit(code)
