"""Where every submitted stage stands: results, SLURM's word, and what the job itself wrote down, joined."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from slurm import queue
from slurm.book import Book, Key, Place
from slurm.commands import Slurm
from slurm.errors import CommandError
from slurm.queue import Seen
from slurm.task import ENDS

Word = Literal["done", "running", "pending", "failed", "lost", "cancelled", "unknown"]
_LOST = ("NODE_FAIL", "BOOT_FAIL")
_CAUSES = {
    "TIMEOUT": "the time limit came before it could save; more minutes in the profile, or save more often",
    "OUT_OF_MEMORY": "out of memory; more memory_gb in the profile, or smaller batches",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed to start",
    "DEADLINE": "SLURM's deadline passed",
    "PREEMPTED": "preempted, and not put back into the queue",
}


@dataclass(frozen=True)
class Standing:
    """One stage of one cell."""

    word: Word
    slurm: str = ""
    """SLURM's word; empty where it has forgotten the job."""
    ref: str = ""
    nodes: str = ""
    reason: str = ""
    """Why it waits."""
    cause: str = ""
    """Why it is failed, lost or cancelled."""
    restarts: int = 0
    blameless: bool = False
    """Cancelled by SLURM because what it waited for failed: it goes again when that does."""

    @property
    def to_resume(self) -> bool:
        """Whether nobody wanted it to end as it did."""
        return self.word in ("failed", "lost") or self.blameless

    @property
    def over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.word in ("done", "failed", "lost", "cancelled")


def standings(slurm: Slurm, book: Book, is_done: Callable[[Key], bool]) -> dict[Key, Standing]:
    """Every stage that was ever submitted.

    Where SLURM does not answer, what is not done is `unknown`: never lost.
    """
    places = book.places()
    done = {key for key in places if is_done(key)}
    asked = {str(place.entry.job): place.entry.token for key, place in places.items() if key not in done}
    try:
        seen: Mapping[str, Seen] | None = queue.look(slurm, asked)
    except CommandError as error:
        seen, silence = None, str(error)
    found: dict[Key, Standing] = {}
    for key, place in places.items():
        if key in done:
            found[key] = Standing("done", ref=place.ref)
        elif seen is None:
            found[key] = Standing("unknown", ref=place.ref, cause=silence)
        else:
            found[key] = _standing(book, place, seen.get(place.ref), found)
    return found


def _standing(book: Book, place: Place, seen: Seen | None, found: Mapping[Key, Standing]) -> Standing:
    end = _end(book, place)
    if seen is not None and seen.live:
        word: Word = "running" if seen.state in ("RUNNING", "COMPLETING") else "pending"
        return Standing(word, seen.state, place.ref, seen.nodes, seen.reason, restarts=seen.restarts)
    state = seen.state if seen else ""
    before = _in_the_way(place, found)
    if before is not None and not end:
        cause = f"not started: {before[0][1]} of {before[0][0]} is {before[1].word}"
        return Standing("cancelled", state, place.ref, cause=cause, blameless=before[1].to_resume)
    word, cause = _why(seen, end)
    nodes = str(end.get("node", "")) or (seen.nodes if seen else "")
    restarts = seen.restarts if seen else int(end.get("restarts", 0))
    return Standing(word, state, place.ref, nodes, "", cause, restarts)


def _in_the_way(place: Place, found: Mapping[Key, Standing]) -> tuple[Key, Standing] | None:
    """What it waited for, where that ended otherwise than well."""
    parent = place.entry.after.get(place.index)
    before = found.get(parent) if parent else None
    if parent is None or before is None or before.word not in ("failed", "lost", "cancelled"):
        return None
    return parent, before


def _why(seen: Seen | None, end: Mapping[str, Any]) -> tuple[Word, str]:
    """Why a stage that is over is not done."""
    state = seen.state if seen else ""
    if state.startswith("CANCELLED"):
        return "cancelled", "cancelled by hand (scancel)"
    vanished = (end and "code" not in end and not state) or (seen is not None and seen.exit == "signal 9")
    if state in _LOST or vanished:
        where = end.get("node", "its node")
        return "lost", _CAUSES.get(state, f"its process vanished on {where}: killed, or the node went down")
    if "code" in end and state not in _CAUSES:
        return _of_code(int(end["code"]), end)
    if state:
        return "failed", _CAUSES.get(state, f"SLURM says {state} {seen.exit if seen else ''}".strip())
    return "lost", "SLURM has forgotten it, and it never began"


def _of_code(code: int, end: Mapping[str, Any]) -> tuple[Word, str]:
    if code == -signal.SIGKILL:
        return "lost", f"killed by SIGKILL on {end.get('node')}: out of memory, or by hand"
    if code < 0:
        return "failed", f"killed by {signal.Signals(-code).name} on {end.get('node')}"
    if end.get("requeue"):
        return "failed", "it saved and went back into the queue, and SLURM could not start it again"
    if end.get("why"):
        return "failed", str(end["why"])
    if code == 0:
        return "failed", "it ended well, but its results are not there (any more)"
    return "failed", f"exit {code}"


def _end(book: Book, place: Place) -> dict[str, Any]:
    """What the job wrote down; nothing where it never began."""
    path = book.array(place.entry.token) / ENDS / f"{place.index}.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return values
