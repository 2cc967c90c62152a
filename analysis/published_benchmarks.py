"""Our scores on the published benchmarks beside the published ones, line under line, with the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from analysis import summary
from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.measured import Measured, title
from analysis.published import Source, result
from analysis.published_protocols import MEANING, departures
from analysis.published_results import SIX, PublishedResult
from analysis.results import Results
from analysis.style import NAMES
from eval.protocol import ProtocolRecord
from eval.rivals import AVERAGE
from prefix_rft.settings import PretrainedModel

_OTHER_MODEL = "another base model"


def benchmarks_table(results: Results, keys: Sequence[str], sources: Sequence[Source]) -> Table:
    """Of every row a line with ours, and for each source one with its numbers and one with the difference.

    Args:
        results: measured on several benchmarks.
        keys: rows by the names under which they were published, in the order of the table.
        sources: where they were published.
    """
    return _Sheet(results, keys, sources).table


@dataclass(frozen=True)
class _Sheet:
    results: Results
    keys: Sequence[str]
    sources: Sequence[Source]

    @property
    def table(self) -> Table:
        columns = (
            Column("row", "Row", numeric=False),
            Column("whose", "Numbers", numeric=False),
            *(Column(metric, metric, scale=100, with_interval=True) for metric in self._metrics),
        )
        rows = tuple(row for key in self.keys for row in self._rows(key))
        return Table("", columns, rows, tuple(self._notes(rows)))

    @cached_property
    def _metrics(self) -> tuple[str, ...]:
        """Scores that some source has a number for, or all where none has; a mean stands behind its benchmarks."""
        known = [metric for metric in self.results.metrics if self._published_somewhere(metric)]
        return tuple(sorted(known or self.results.metrics, key=lambda metric: metric.startswith(AVERAGE)))

    def _published_somewhere(self, metric: str) -> bool:
        return any(self._published(key, source, metric) for key in self.keys for source in self.sources)

    def _rows(self, key: str) -> Iterator[Row]:
        name = NAMES.get(key, key)
        members = self.results.members(name) or {"": ""}
        for base, label in members.items():
            shown = f"{name}, {base}" if base else name
            ours = self.results.evaluated(label) if label else ()
            if ours:
                yield Row(
                    (Entry(shown), Entry("here"), *(self._here(ours, metric) for metric in self._metrics))
                )
            for source in self.sources:
                yield from self._beside(shown, key, source, ours, label)

    def _here(self, ours: Sequence[Measured], metric: str) -> Entry:
        of = summary.of_metric(ours, metric)
        return Entry(of.mean, of.half_width, of.interval)

    def _beside(
        self, shown: str, key: str, source: Source, ours: Sequence[Measured], label: str
    ) -> Iterator[Row]:
        found = {metric: self._published(key, source, metric) for metric in self._metrics}
        if not any(found.values()):
            return
        mark = self._marks[source]
        theirs = (self._their(one, metric) for metric, one in found.items())
        yield Row((Entry(shown), Entry(mark), *theirs))
        if ours and self._same_model(label, source):
            differences = (self._difference(ours, one, metric) for metric, one in found.items())
            yield Row((Entry(shown), Entry(f"here minus {mark}"), *differences))
        elif ours:
            reasons = (Entry(reason=_OTHER_MODEL) for _ in found)
            yield Row((Entry(shown), Entry(f"here minus {mark}"), *reasons))

    @property
    def _marks(self) -> Mapping[Source, str]:
        return {source: f"[{chr(ord('a') + i)}]" for i, source in enumerate(self.sources)}

    def _published(self, key: str, source: Source, metric: str) -> PublishedResult | None:
        """The source's number of what we call `metric`: pass@k of many samples only beside the same."""
        name, _, many = metric.partition(" pass@")
        benchmark = name if name != AVERAGE else "Avg6" if self._six else ""
        benchmark = benchmark if source.benchmark in ("Avg6", benchmark) else ""
        found = result(key, source, benchmark) if benchmark else None
        of_many = found is not None and found.metric.startswith("pass@") and found.metric != "pass@1"
        if found is None or of_many != bool(many) or (of_many and found.metric != f"pass@{many}"):
            return None
        return found

    @property
    def _six(self) -> bool:
        return tuple(map(title, self.results.parts)) == SIX

    def _their(self, found: PublishedResult | None, metric: str) -> Entry:
        if found is None or found.score is None:
            return NOTHING
        marks = list(departures(found, self._record(metric))) if self.results.evaluations else []
        # The mean of benchmarks has no number of samples of its own.
        marks = [mark for mark in marks if not (metric == AVERAGE and mark.startswith("n"))]
        if self._changed(metric):
            marks.append("d")
        return Entry(found.score / 100, mark=f" [{','.join(marks)}]" if marks else "")

    def _changed(self, metric: str) -> bool:
        """Whether the problems behind one of our scores differ from the published set."""
        return any(
            measured.parts[part].scores.protocol.data_changes
            for measured in self.results.evaluations.values()
            for part in measured.question_scores(metric)
        )

    def _record(self, metric: str) -> ProtocolRecord:
        measured = next(iter(self.results.evaluations.values()))
        part = next(iter(measured.question_scores(metric)))
        return measured.parts[part].scores.protocol

    def _difference(self, ours: Sequence[Measured], found: PublishedResult | None, metric: str) -> Entry:
        if found is None or found.score is None:
            return NOTHING
        of = summary.of_metric(ours, metric)
        return Entry(of.mean - found.score / 100, of.half_width, of.interval)

    def _same_model(self, label: str, source: Source) -> bool:
        runs = (cell.run_id for cell in self.results.of_label(label))
        config = next(
            (self.results.configs.get(run) for run in runs if run in self.results.evaluations), None
        )
        if config is None or not isinstance(config.model, PretrainedModel):
            return False
        name = (config.model.source or config.model.path).rstrip("/").rpartition("/")[2]
        return name.lower() == source.model.lower()

    def _notes(self, rows: Sequence[Row]) -> Iterator[str]:
        listed = "; ".join(f"{mark} {source.name} ({source.model})" for source, mark in self._marks.items())
        yield (
            f"In percent, differences in points. Published: {listed}. ± of here: 95%, over training seeds, of one "
            "run over questions; the published numbers' own uncertainty is not known and not in it."
        )
        used = {
            mark
            for row in rows
            for entry in row.entries
            for mark in entry.mark.strip(" []").split(",")
            if mark
        }
        meant = [f"{mark} {meaning}" for mark, meaning in MEANING.items() if used & {mark, f"{mark}?"}]
        if meant:
            unsaid = (
                "; ? after a letter: the source does not say" if any(m.endswith("?") for m in used) else ""
            )
            yield f"Not measured as here: {'; '.join(meant)}{unsaid}."
        if any(entry.reason == _OTHER_MODEL for row in rows for entry in row.entries):
            yield "No difference is taken to numbers of another base model."
