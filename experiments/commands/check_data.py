"""prefix-rft check-data: what a data set holds, and every row that cannot be used."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from experiments.commands.bars import NamedBars, bars
from experiments.compose import compose
from experiments.plain_console import PlainConsole
from prefix_rft.data import Encoder, load, load_encoder
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.check import DataCheck, SplitCheck, check
from prefix_rft.data.scratch import train_scratch_tokenizer, training_texts
from prefix_rft.settings import ChainData, DataSettings, PretrainedModel, RunConfig, ScratchModel

_LISTED = 20


def prepare(overrides: Sequence[str], tokenizer: str | None) -> tuple[DataSettings, Encoder]:
    """The data to look at, and what measures the lengths: a tokenizer by name, else that of the model.

    Args:
        overrides: as for a run. Where data of one's own are chosen and no model, it is `model=scratch`.
        tokenizer: a model folder or hub name.

    Raises:
        SettingsError: the overrides are refused.
        DataError: there is no such tokenizer, or the data cannot be read.
    """
    keys = {override.partition("=")[0] for override in overrides}
    own = any(o.startswith("data=") and not o.startswith("data=chain") for o in overrides)
    config = compose([*overrides, "model=scratch"] if own and not keys & {"model", "scale"} else overrides)
    return config.data, load_encoder(tokenizer) if tokenizer else _encoder_of(config)


def check_data(settings: DataSettings, encoder: Encoder | None = None, console: Console | None = None) -> int:
    """Print counts per split and list what is left out or does not fit.

    Bad rows are listed whether or not the settings would skip them.

    Args:
        settings: the data to look at.
        encoder: measures prompts and demonstrations against the token budgets; None leaves them unmeasured.
        console: where to print; standard output by default.

    Returns:
        0 where everything can be used as it is, 1 where something is left out or does not fit.
    """
    out = console or PlainConsole()
    lenient = _lenient(settings)
    with out.status("reading"):
        dataset = load(lenient)
    with bars(out) as progress:
        found = check(dataset, lenient, encoder, NamedBars(progress))
    _print(found, out, measured=encoder is not None)
    return 0 if found.clean else 1


def _encoder_of(config: RunConfig) -> Encoder:
    model = config.model
    if isinstance(model, PretrainedModel):
        return load_encoder(model.path, model.template, model.revision, model.trust_remote_code)
    if isinstance(model, ScratchModel):
        with tempfile.TemporaryDirectory() as folder:
            texts = training_texts(load(_lenient(config.data)).train)
            train_scratch_tokenizer(texts, model.vocabulary, folder)
            return load_encoder(folder)
    assert isinstance(config.data, ChainData)
    return ChainEncoder(config.data.modulus, config.data.letters)


def _lenient(settings: DataSettings) -> DataSettings:
    return settings.model_copy(update={"skip_bad_rows": True})


def _print(found: DataCheck, out: Console, *, measured: bool) -> None:
    table = Table("split", "questions", "taught", "demonstrations", "correct", "repeated")
    for split in found.splits:
        table.add_row(*_cells(split))
    out.print(table)
    out.print(f"sha256 of the content: {found.digest}", soft_wrap=True)
    for split in found.splits:
        _list(out, f"{split.split}: answers that only the same string matches", split.string_only)
        _list(out, f"{split.split}: beyond the token budgets", [str(item) for item in split.unfit])
    if not measured:
        out.print("Lengths were not measured: no tokenizer was given.")
    _list(out, "rows left out", [str(row) for row in found.skipped])


def _cells(split: SplitCheck) -> list[str]:
    share = f"{split.correct} ({split.correct / split.demonstrations:.1%})" if split.demonstrations else "-"
    return [
        split.split,
        str(split.questions),
        str(split.with_demonstration),
        str(split.demonstrations),
        share,
        str(split.repeated),
    ]


def _list(out: Console, title: str, items: Sequence[str]) -> None:
    if not items:
        return
    out.print(f"{title}: {len(items)}")
    for item in items[:_LISTED]:
        out.print(f"  {item}", markup=False, highlight=False, soft_wrap=True)
    if len(items) > _LISTED:
        out.print(f"  and {len(items) - _LISTED} more")
