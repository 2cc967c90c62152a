"""A page of 500 runs: it opens at once, and so does a run on it."""

from __future__ import annotations

from typing import Any

import pytest

from prefix_rft.runs.metrics import MetricsWriter

METHODS = ("sft", "rft", "sft_rft", "rl_sft_loss", "uft", "luffy", "relift", "dr_po", "prefix_rft")
RUNS = 500
STEPS = 100
RECORDED = ("reward", "reward_hybrid", "response_length", "entropy", "loss", "grad_norm", "prefix_share")
RECORDED += ("imitated_share", "clip_fraction", "approx_kl", "truncated", "learning_rate", "time/step")
LONGEST_SECONDS = 2.0
"""Of the processor's time, which does not depend on what else the machine does; on an idle one it is what passes."""


@pytest.mark.slow
@pytest.mark.browser
def test_500_runs(writer: Any, chromium: Any) -> None:
    cells = {}
    for number in range(RUNS):
        method, seed = METHODS[number % len(METHODS)], number // len(METHODS)
        cell = writer.build.done(method, seed, writer.verdicts(0.5, method, seed, questions=12))
        metrics = MetricsWriter(writer.build.store.path(cell.run_id))
        for step in range(1, STEPS + 1):
            metrics.append(step, "train", dict.fromkeys(RECORDED, 0.123 * step + number))
        for step in (10, 50, 100):
            for rollout in range(4):
                pieces, weights = ["token "] * 64, [0.0, 0.5, -0.25, 0.5] * 16
                writer.rollout(cell, step=step, rollout=rollout, pieces=pieces, weights=weights, tokens=64)
        cells[cell.run_id] = cell
    page = writer.page(writer.sheet(cells), cells=cells)
    chromium.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    opened = [_opened(chromium, page) for _ in range(3)]
    run = _spent(chromium, "location.hash = arguments[0]; route()", f"#run/{list(cells)[-1]}")
    found = _spent(chromium, "search(arguments[0])", "method.name=luffy")
    passed = chromium.execute_script(
        "const t = performance.timing; return t.loadEventEnd - t.navigationStart"
    )
    print(
        f"{page.path.stat().st_size / 1e6:.1f} MB: opens in {opened} s of processor time ({passed} ms passed), "
        f"a run in {run} s, a search in {found} s"
    )
    assert len(chromium.find_elements("css selector", "#all-runs tbody tr")) == RUNS
    assert max(*opened, run, found) < LONGEST_SECONDS


def _opened(browser: Any, page: Any) -> float:
    """Seconds of the main thread from nothing to a page that is loaded and laid out."""
    browser.get("about:blank")
    before = _used(browser)
    browser.get(page.path.as_uri())
    after = _used(browser)
    # The counter begins anew with a new process.
    return round(after - before if after > before else after, 2)


def _spent(browser: Any, script: str, argument: str) -> float:
    before = _used(browser)
    browser.execute_script(f"{script}; document.body.getBoundingClientRect()", argument)
    return round(_used(browser) - before, 2)


def _used(browser: Any) -> float:
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))
