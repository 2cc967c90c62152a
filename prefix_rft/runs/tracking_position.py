"""How far the mirror of a run has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from prefix_rft.runs.jsonl import Record

POSITION_FILE = "position.json"
"""Below `FOLDER` of `tracking_labels`."""


@dataclass
class Position:
    """The last step that was mirrored, and which of its rows."""

    step: int = 0
    kinds: list[str] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    """Digests of what else was shown: labels, samples, scores."""
    sent: bool = True
    """Whether W&B has every row: a session that has not ended well may have had some on their way."""

    def is_new(self, row: Record) -> bool:
        """Whether the row has not been mirrored yet."""
        return row["step"] > self.step or (row["step"] == self.step and row["kind"] not in self.kinds)

    def move_to(self, row: Record) -> None:
        """The row has been mirrored."""
        kinds = self.kinds if row["step"] == self.step else []
        self.step, self.kinds = row["step"], [*kinds, row["kind"]]

    def is_news(self, name: str, digest: str) -> bool:
        """Whether something else than what was shown last is to be shown, which counts as shown from now on."""
        news = digest not in ("", self.shown.get(name))
        if news:
            self.shown[name] = digest
        return news
