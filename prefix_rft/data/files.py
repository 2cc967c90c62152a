"""A data set from files or from the hub: reads the splits that are given and holds out those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from prefix_rft.data import hub, jsonl, parquet
from prefix_rft.data.convert import convert
from prefix_rft.data.rows import BadRows, Row, RowError, Source
from prefix_rft.data.schema import BadRow, Dataset, Question, Split
from prefix_rft.data.subsets import hold_out
from prefix_rft.errors import DataError
from prefix_rft.settings.data import FileSettings, HubData, JsonlData


def load_files(settings: FileSettings) -> Dataset:
    """The three splits; no id and, between splits, no question text occurs twice.

    Raises:
        DataError: a source cannot be read, a row cannot be used, or no row is left to train on.
    """
    reader = _Reader(settings, BadRows(settings.skip_bad_rows))
    test = reader.read(_source(settings, "test"), "test")
    validation = reader.read(_source(settings, "validation"), "validation")
    train = reader.read(_source(settings, "train"), "train") or ()
    held = hold_out(
        train,
        validation=settings.validation_questions if validation is None else 0,
        test=settings.test_questions if test is None else 0,
    )
    if not held.train:
        raise DataError(_too_few(settings, train))
    return Dataset(
        train=held.train,
        validation=held.validation if validation is None else validation,
        test=held.test if test is None else test,
        skipped=(*reader.bad.rows, *(reader.repeat(question) for question in held.repeats)),
    )


@dataclass
class _Reader:
    """Reads test, validation, train in this order: where two share a question the later one is at fault."""

    settings: FileSettings
    bad: BadRows
    place_of_id: dict[str, tuple[str, int]] = field(default_factory=dict)
    """File and row of every question read."""
    id_of_text: dict[str, str] = field(default_factory=dict)
    """Question texts of the splits that are read to their end."""

    def read(self, source: Source | None, split: Split) -> tuple[Question, ...] | None:
        """The split's questions, or None where the settings name no source for it."""
        if source is None:
            return None
        before = len(self.bad.rows)
        questions: list[Question] = []
        for number, row in islice(source.rows, self.settings.limit if split == "train" else None):
            try:
                question = self._question(row, number, split)
            except RowError as error:
                self.bad.add(source.name, number, error)
            else:
                self.place_of_id[question.id] = (source.name, number)
                questions.append(question)
        if not questions:
            raise DataError(_nothing(source.name, self.bad.rows[before:]))
        self.id_of_text.update((question.text, question.id) for question in questions)
        return tuple(questions)

    def repeat(self, question: Question) -> BadRow:
        """The row of a question that is held out already."""
        name, number = self.place_of_id[question.id]
        reason = "the same question is held out for validation or testing under another id"
        return BadRow(file=name, row=number, field="question", reason=reason)

    def _question(self, row: Row | RowError, number: int, split: Split) -> Question:
        if isinstance(row, RowError):
            raise row
        question = convert(row, number, split, self.settings)
        if question.id in self.place_of_id:
            raise RowError("id", f"the id {question.id!r} is already that of {self._place(question.id)}")
        if question.text in self.id_of_text:
            other = self._place(self.id_of_text[question.text])
            raise RowError("question", f"the same question stands in another split ({other})")
        return question

    def _place(self, name: str) -> str:
        file, number = self.place_of_id[name]
        return f"{file}, row {number}"


def _nothing(name: str, bad: list[BadRow]) -> str:
    if bad:
        return f"{name} has no usable row: all {len(bad)} are bad. The first: {bad[0]}."
    return f"{name} has no rows. Check the path, or that the file was written to its end."


def _source(settings: FileSettings, split: Split) -> Source | None:
    if isinstance(settings, HubData):
        part = {
            "train": settings.split,
            "validation": settings.validation_split,
            "test": settings.test_split,
        }[split]
        if part is None:
            return None
        name = f"{settings.repository}@{settings.revision}:{part}"
        return Source(name, hub.rows(settings.repository, settings.revision, part))
    path = {"train": settings.path, "validation": settings.validation_path, "test": settings.test_path}[split]
    if path is None:
        return None
    return Source(path, jsonl.rows(path) if isinstance(settings, JsonlData) else parquet.rows(path))


def _too_few(settings: FileSettings, train: Sequence[Question]) -> str:
    return (
        f"the training source has {len(train)} usable rows with {len({question.text for question in train})} "
        f"different questions (data.limit={settings.limit}); with "
        f"data.validation_questions={settings.validation_questions} and "
        f"data.test_questions={settings.test_questions} held out none is left to train on. Lower them, or "
        "name files or splits for validation and testing."
    )
