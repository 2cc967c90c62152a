"""What is fuzzed: every parser of ours with its promises, as functions of bytes that raise where one is broken.

Both Hypothesis (test_targets.py) and atheris (atheris_targets.py) call them. A documented error is a promise kept.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from experiments.commands.key_values import nested
from experiments.compose import compose
from experiments.sweeps import read as read_sweep
from prefix_rft.errors import DataError, PrefixRftError, RunError, SettingsError
from prefix_rft.grading.boxes import last_boxed, last_boxes
from prefix_rft.grading.conclusion import conclusion, is_prose
from prefix_rft.grading.extract import extract, graded_part, last_number
from prefix_rft.grading.notation import distinct_cases, keep_last_variable, plain, variables
from prefix_rft.grading.scientific import number, written_out
from prefix_rft.grading.signs import as_latex
from prefix_rft.grading.strings import same_formula, same_number, same_text, without_delimiters
from prefix_rft.runs.jsonl import append_record, newest_values, read_records, rewrite_records

Target = Callable[[bytes], None]
MARKERS = ("####", "answer:")
SUBSTRING_RULES = ("last_boxed", "after_marker", "last_line", "whole")


def text_of(raw: bytes) -> str:
    """Text with whatever a model, a server or a shell may put into it, halves of surrogate pairs included."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


@contextmanager
def refuses(*kinds: type[PrefixRftError]) -> Iterator[None]:
    """The documented errors, which say something."""
    said = "."
    try:
        yield
    except kinds as error:
        said = str(error)
    assert said.strip()


@contextmanager
def file_of(raw: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        yield path


def boxes(raw: bytes) -> None:
    text = text_of(raw)
    one, several = last_boxed(text), last_boxes(text)
    assert one is None or (one == one.strip() and one and one in text)
    assert several is None or several
    if one is not None and several is not None:
        assert several.endswith(one) or one in several


def extraction(raw: bytes) -> None:
    text = text_of(raw)
    for rule in SUBSTRING_RULES:
        answer = extract(text, [rule], MARKERS)  # type: ignore[list-item]
        assert answer is None or (answer == answer.strip() and answer and answer in text)
    found = last_number(text)
    assert found is None or Fraction(found.replace("/0", "/1")) is not None or "e" in found.lower()
    assert graded_part(text, "whole") == text
    assert (graded_part(text, "required") or "") in text


def conclusions(raw: bytes) -> None:
    text = text_of(raw)
    answer = conclusion(text)
    assert answer is None or answer.strip()
    is_prose(text[-2_000:])


def notations(raw: bytes) -> None:
    text = text_of(raw)
    latex = as_latex(text)
    if "\u221a" not in latex:  # a root of a root is read once only
        once = plain(text)
        assert _comes_to_an_end(once, plain(once)), "what one rule leaves, another rewrites, without end"
        assert as_latex(latex) == latex
    half = len(text) // 2
    distinct_cases(text[:half], text[half:])
    keep_last_variable(text, unit_allowed=True)
    variables(text)


def _comes_to_an_end(once: str, again: str) -> bool:
    """Whether a second pass changes nothing, or leaves less: a full stop, a decoration, a period of a decimal."""
    return again == once or len(again) < len(once) or _periods(again) < _periods(once)


def _periods(formula: str) -> int:
    return formula.count("\\overline") + formula.count("\\bar")


def scientific_notation(raw: bytes) -> None:
    text = text_of(raw)
    value = number(text)
    if value is not None and value.denominator == 1 and len(str(value)) < 400:
        assert number(str(value)) == value
    assert isinstance(written_out(text), str)


def strings(raw: bytes) -> None:
    text = text_of(raw)
    one, other = text[: len(text) // 2], text[len(text) // 2 :]
    assert same_text(text, text) == bool(text.strip())
    assert same_formula(one, other) == same_formula(other, one)
    assert same_number(one, other) == same_number(other, one)
    assert without_delimiters(text) in text


def key_values(raw: bytes) -> None:
    with refuses(SettingsError):
        values = nested(text_of(raw).split("\n"), {"sampler": "kind"})
        assert all(isinstance(key, str) for key in values)


def overrides(raw: bytes) -> None:
    with refuses(SettingsError):
        compose([word for word in text_of(raw).split("\n") if word and not word.startswith("hydra")])


def sweep_files(raw: bytes) -> None:
    with file_of(raw, "sweep.yaml") as path, refuses(SettingsError):
        sweep = read_sweep(path)
        assert sweep.vary or sweep.variants


def records(raw: bytes) -> None:
    with file_of(raw, "events.jsonl") as path, refuses(RunError):
        found = read_records(path)
        newest = newest_values(path, ["step", "a"])
        for key in ("step", "a"):
            values = [row[key] for row in found.rows if row.get(key) is not None]
            assert repr(newest.get(key)) == repr(values[-1] if values else None)
        append_record(path, {"step": 7})
        again = read_records(path)
        assert again.torn is None
        assert repr(again.rows) == repr([*found.rows, {"step": 7}])
        if _is_plain(found.rows):
            rewrite_records(path, found.rows)
            assert read_records(path).rows == found.rows


def _is_plain(rows: object) -> bool:
    try:
        json.dumps(rows, allow_nan=False)
    except ValueError:
        return False
    return True


def metrics(raw: bytes) -> None:
    from prefix_rft.runs.metrics import MetricsWriter

    with file_of(raw, "metrics.jsonl") as path, refuses(RunError):
        writer = MetricsWriter(path.parent)
        dropped = writer.truncate_after(3)
        assert dropped >= 0
        assert all(int(row["step"]) <= 3 for row in read_records(path).rows)


def states(raw: bytes) -> None:
    from prefix_rft.runs.state import StateWriter, read_state, recorded_state

    with file_of(raw, "state.json") as path, refuses(RunError):
        state = read_state(path.parent)
        assert state.attempt + 1 > state.attempt
        StateWriter(path.parent).attempt()
        assert recorded_state(path.parent).attempt == state.attempt + 1


def markers(raw: bytes) -> None:
    from prefix_rft.runs.markers import StageMarkers

    with file_of(raw, "markers/train.json") as path, refuses(RunError):
        assert StageMarkers(path.parents[1]).why_not_done("train", step=3) != ""


def run_files(raw: bytes) -> None:
    """identity.json, config.yaml and a checkpoint's manifest."""
    from prefix_rft.runs.checkpoint import list_checkpoints, verify
    from prefix_rft.runs.store import RunDir

    for name in ("identity.json", "config.yaml"):
        with file_of(raw, f"0123456789ab/{name}") as path, refuses(RunError, SettingsError):
            run = RunDir(path.parent)
            run.identity() if name == "identity.json" else run.config()
            raise AssertionError(f"{name} passed for that of a run")
    with file_of(raw, "0123456789ab/checkpoints/step_1/manifest.json") as path, refuses(RunError):
        (checkpoint,) = list_checkpoints(path.parents[2])
        verify(checkpoint)


def scores(raw: bytes) -> None:
    from eval.results import Scores, is_complete, read_claim, read_scores

    for name, reader in (("scores.json", read_scores), ("protocol.json", read_claim)):
        with file_of(raw, name) as path, refuses(DataError):
            found = reader(path.parent)
            if isinstance(found, Scores):
                assert not is_complete(path.parent)


def jsonl_rows(raw: bytes) -> None:
    from prefix_rft.data import load
    from prefix_rft.settings import JsonlData, parse

    settings = {"validation_questions": 0, "test_questions": 0, "skip_bad_rows": True}
    with file_of(raw, "rows.jsonl") as path, refuses(DataError):
        asked = parse(JsonlData, {**settings, "path": str(path)})
        found = load(asked)
        assert found.train
        assert found.digest == load(asked).digest


def parquet_rows(raw: bytes) -> None:
    """A file that is a row in JSON is written as parquet first; anything else stands as it is."""
    from prefix_rft.data import load
    from prefix_rft.settings import ParquetData, parse

    settings = {"validation_questions": 0, "test_questions": 0, "skip_bad_rows": True}
    with file_of(raw, "rows.parquet") as path, refuses(DataError):
        _as_parquet(raw, path)
        found = load(parse(ParquetData, {**settings, "path": str(path)}))
        assert all(question.answer and question.text for question in found.train)


def _as_parquet(raw: bytes, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        row = json.loads(raw)
        pq.write_table(pa.Table.from_pylist([row]), path)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError, pa.ArrowException):
        path.write_bytes(raw)


def samples(raw: bytes) -> None:
    from eval.samples import SAMPLES, count_rows, read_rows, read_table

    for reader in (read_table, count_rows, lambda path, kind: list(read_rows(path, kind))):
        with file_of(raw, "samples.parquet") as path, refuses(DataError):
            reader(path, SAMPLES)


def labelled(raw: bytes) -> None:
    from prefix_rft.grading.labelled import load_labelled

    with file_of(raw, "labelled.jsonl") as path, refuses(DataError):
        assert all(row.gold.strip() for row in load_labelled(path))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        boxes,
        extraction,
        conclusions,
        notations,
        scientific_notation,
        strings,
        key_values,
        overrides,
        sweep_files,
        records,
        metrics,
        states,
        markers,
        run_files,
        scores,
        jsonl_rows,
        parquet_rows,
        samples,
        labelled,
    )
}
