"""How many questions and tokens a configuration's data has: counted where that is cheap, else assumed and said so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefix_rft.data.subsets import count
from prefix_rft.errors import DataError
from prefix_rft.settings import ChainData, DataSettings, HubData, JsonlData, ParquetData

KNOWN_QUESTIONS = {"Elliott/Openr1-Math-46k-8192": 46_000}
"""Rows of data sets on the hub, about: OpenR1-Math-46k-8192 is the training set of LUFFY and Prefix-RFT."""
PROMPT_SHARE = 0.15
"""Mean prompt as a share of data.max_prompt_tokens: a competition problem has 100 to 200 of 1,024 tokens."""
RESPONSE_SHARE = 0.35
"""Mean response as a share of data.max_response_tokens: room is left for the longest, and responses grow in training.

The first steps tell the truth: response_length in metrics.jsonl.
"""
DEMONSTRATION_SHARE = 0.5
"""Mean demonstration, of the same maximum: traces of a reasoning model are longer than the policy's responses."""


@dataclass(frozen=True)
class Sizes:
    """Questions of each split, and mean tokens."""

    train: int
    """After `fraction`."""
    demonstrated: int
    """Those of them that have a demonstration."""
    validation: int
    test: int
    prompt: float
    response: float
    demonstration: float

    def of_split(self, split: str) -> int:
        """Questions of validation or test."""
        return self.validation if split == "validation" else self.test


def sizes(data: DataSettings) -> Sizes | None:
    """Sizes of a data set; None for one on the hub that is not among `KNOWN_QUESTIONS` and has no limit.

    Raises:
        DataError: a file cannot be read.
    """
    if isinstance(data, ChainData):
        return _chain(data)
    rows = _rows(data)
    if rows is None:
        return None
    validation, test = (_held(data, split) for split in ("validation", "test"))
    train = rows - sum(held for held, own in (validation, test) if not own)
    return _with_shares(
        data,
        train,
        (validation[0], test[0]),
        prompt=PROMPT_SHARE * data.max_prompt_tokens,
        response=RESPONSE_SHARE * data.max_response_tokens,
        demonstration=DEMONSTRATION_SHARE * data.max_response_tokens,
    )


def _chain(data: ChainData) -> Sizes:
    """k operations make a prompt of 3k + 3 tokens and a solution of 6k + 6, the end of the sequence included.

    Between two steps a wordy expert writes 1 to `fillers` letters and two digits; the policy takes that over.
    """
    operations = (data.min_operations + data.max_operations) / 2
    between = (data.fillers + 1) / 2 + 2 if data.fillers else 0
    solution = 6 * operations + 6 + (operations - 1) * between
    return _with_shares(
        data,
        data.train_questions,
        (data.validation_questions, data.test_questions),
        prompt=3 * operations + 3,
        response=solution,
        demonstration=solution,
    )


def _with_shares(
    data: DataSettings,
    train: int,
    held: tuple[int, int],
    *,
    prompt: float,
    response: float,
    demonstration: float,
) -> Sizes:
    used = count(data.fraction, max(train, 0))
    return Sizes(
        train=used,
        demonstrated=count(data.demonstration_coverage, used),
        validation=held[0],
        test=held[1],
        prompt=prompt,
        response=response,
        demonstration=demonstration,
    )


def _rows(data: JsonlData | ParquetData | HubData) -> int | None:
    if isinstance(data, HubData):
        rows = KNOWN_QUESTIONS.get(data.repository)
        return data.limit if rows is None else min(rows, data.limit or rows)
    rows = _rows_of_file(data.path)
    return min(rows, data.limit or rows)


def _held(data: JsonlData | ParquetData | HubData, split: str) -> tuple[int, bool]:
    """Questions of a split, and whether it has a source of its own; one on the hub is taken for as large."""
    own = getattr(data, f"{split}_split" if isinstance(data, HubData) else f"{split}_path")
    asked = int(getattr(data, f"{split}_questions"))
    return (asked if own is None or isinstance(data, HubData) else _rows_of_file(own)), own is not None


def _rows_of_file(path: str) -> int:
    file = Path(path)
    if not file.is_file():
        raise DataError(f"there is no file {path}; check data.path, data.validation_path and data.test_path")
    if file.suffix == ".parquet":
        from pyarrow.parquet import read_metadata

        return int(read_metadata(file).num_rows)
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
