from __future__ import annotations

from prefix_rft.grading.cache import VerdictCache
from prefix_rft.grading.verdict import Verdict

RIGHT, WRONG = Verdict(True, "ok"), Verdict(False, "ok")


def test_the_verdict_unused_for_longest_is_dropped() -> None:
    cache = VerdictCache(2)
    cache.put(("1", "1.0", "v"), RIGHT)
    cache.put(("1", "2", "v"), WRONG)
    assert cache.get(("1", "1.0", "v")) == RIGHT
    cache.put(("1", "3", "v"), WRONG)
    assert cache.get(("1", "2", "v")) is None
    assert cache.get(("1", "1.0", "v")) == RIGHT
    assert len(cache) == 2


def test_another_version_of_the_grader_has_its_own_verdicts() -> None:
    cache = VerdictCache(8)
    cache.put(("1", "1.0", "v1"), RIGHT)
    assert cache.get(("1", "1.0", "v2")) is None


def test_a_long_answer_is_held_by_its_digest_and_stays_itself() -> None:
    cache = VerdictCache(8)
    long = "7" * 100_000 + "\ud800"
    cache.put(("1", long, "v"), WRONG)
    assert cache.get(("1", long, "v")) == WRONG
    assert cache.get(("1", long + "7", "v")) is None
    assert max(len(part) for key in cache._verdicts for part in key) < 500
