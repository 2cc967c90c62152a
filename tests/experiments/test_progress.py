"""What the display shows of runs as they move, on a terminal and in a log."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from experiments import progress
from experiments.names import names
from experiments.plan import plan
from experiments.progress import Display, Standing
from experiments.screen import Line, screen, sentence
from experiments.watch import View, Watch
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig, parse


def config(method: str, seed: int = 0, /, **sections) -> RunConfig:
    values = {"method": {"name": method}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}, "seed": seed}
    return parse(RunConfig, values | sections)


@pytest.fixture
def planned():
    return plan([config("sft"), config("rft")])


@pytest.fixture
def runs(tmp_path, planned):
    store = Store(tmp_path / "runs")
    return {task.id: store.create(task.run.identity, task.config) for task in planned.tasks}


@pytest.fixture
def tick(monkeypatch):
    """A clock that moves when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def at_work(run, step: int, total: int, reward: float, stage: str = "train") -> None:
    StateWriter(run.path).attempt()
    StateWriter(run.path).running(stage, step=step, total_steps=total)
    MetricsWriter(run.path).append(step, "train", {"reward": reward})


def text(console: Console, renderable) -> list[str]:
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_log_gets_a_line_whenever_something_happens(planned, runs, tick):
    out = StringIO()
    base, sft, rft = (task.id for task in planned.tasks)
    with Display(planned, runs, 2, Console(file=out, width=80)) as display:
        for standing in (
            Standing({base}, {sft}, {}),
            Standing({base}, {sft}, {}),
            Standing({base}, {rft}, {sft: "ValueError: x [red]"}),
            Standing({base, rft}, set(), {sft: "ValueError: x [red]"}),
        ):
            display.refresh(standing)
            tick(5)
        display.close(standing)
    assert out.getvalue().splitlines() == [
        f"{sft}  sft seed 0         running",
        f"{sft}  sft seed 0         failed: ValueError: x [red]",
        f"{rft}  rft seed 0         running",
        f"{rft}  rft seed 0         done (5 s)",
        "2 cells, 3 runs: 1 failed, 2 done (1 before); 20 s",
    ]


def test_a_log_gets_a_sign_of_life_every_minute(planned, runs, tick):
    out = StringIO()
    run = runs[planned.tasks[1].id]
    with RunLock(run.path), Display(planned, runs, 2, Console(file=out, width=80)) as display:
        at_work(run, 10, 60, 0.25)
        standing = Standing(set(), {run.id}, {})
        for _ in range(4):
            display.refresh(standing)
            tick(31)
    assert out.getvalue().splitlines()[1:] == [
        "2 cells, 3 runs: 1 running, 2 waiting",
        f"{run.id}  sft seed 0         train 10/60, reward 0.250",
    ]


def test_the_display_is_drawn_at_most_twice_a_second(planned, runs, tick):
    out = StringIO()
    display = Display(planned, runs, 2, Console(file=out, width=80))
    display.refresh(Standing(set(), set(), {}))
    tick(0.4)
    display.refresh(Standing({planned.tasks[0].id}, set(), {}))
    assert out.getvalue() == ""
    tick(0.2)
    display.refresh(Standing({planned.tasks[0].id}, set(), {}))
    assert "done" in out.getvalue()


def test_when_all_was_done_before_one_line_says_so(planned, runs, tick):
    out = StringIO()
    everything = Standing({task.id for task in planned.tasks}, set(), {})
    with Display(planned, runs, 2, Console(file=out, width=80)) as display:
        display.close(everything)
    assert out.getvalue() == "2 cells, 3 runs: 3 done (3 before)\n"


def test_a_terminal_shows_every_run_with_its_numbers(planned, runs, tick):
    out = StringIO()
    base, sft, rft = (runs[task.id] for task in planned.tasks)
    console = Console(
        file=out, width=110, height=30, force_terminal=True, color_system=None, legacy_windows=False
    )
    MetricsWriter(base.path).append(1, "validation", {"validation/accuracy": 0.125})
    with RunLock(sft.path), RunLock(rft.path), Display(planned, runs, 2, console) as display:
        at_work(sft, 10, 60, 0.25)
        display.refresh(Standing({base.id}, {sft.id}, {}))
        tick(10)
        at_work(sft, 30, 60, 0.5)
        display.refresh(Standing({base.id}, {sft.id}, {}))
    frame = [line.split() for line in out.getvalue().split("2 cells, 3 runs: ")[-1].splitlines()]
    assert frame[0] == ["1", "running,", "1", "elsewhere,", "1", "done", "(1", "before)"]
    # The other run waits and takes as long as this one promises to: 10 + 15 seconds, on the second worker.
    assert frame[1][1:] == "10 s so far, about 25 s to go".split()
    assert [base.id, "base", "model", "(tiny)", "done", "0.125"] in frame
    line = next(line for line in frame if line[:1] == [sft.id])
    assert (line[1:5], line[-4:]) == (["sft", "seed", "0", "train"], ["30/60", "0.500", "15", "s"])
    assert [rft.id, "rft", "seed", "0", "elsewhere"] in frame


def test_stopping_is_shown(planned, runs, tick):
    out = StringIO()
    console = Console(file=out, width=110, height=30, force_terminal=True, color_system=None)
    with Display(planned, runs, 2, console) as display:
        display.refresh(Standing(set(), {planned.tasks[0].id}, {}, stopping=True))
    assert "stopping, the runs save their work" in out.getvalue()


def lines(*words: str) -> list[Line]:
    return [Line(f"{i:012x}", f"rft seed {i}", word, View()) for i, word in enumerate(words)]


def test_a_low_terminal_shows_what_is_urgent_and_counts_the_rest():
    shown = text(
        Console(width=120),
        screen(
            "head",
            lines(*["done"] * 20, "failed", "running", *["waiting"] * 9),
            3,
            None,
            width=120,
            height=11,
        ),
    )
    words = [line.split()[-1] for line in shown[4:-1]]
    assert words == ["done", "done", "failed", "starting"]
    assert shown[-1] == "and 18 more done, 9 more waiting"


@pytest.mark.parametrize("width", [70, 80, 96, 120])
def test_every_line_fits_the_terminal(width):
    view = View("evaluate test", 512, 512, 0.123, 0.456, 3725)
    shown = text(
        Console(width=width, color_system=None),
        screen("head", [Line("0" * 12, "prefix_rft seed 0", "running", view)], 5, 70, width=width, height=30),
    )
    assert "512/512" in shown[-1]
    assert shown[-1].endswith("1:02:05")
    assert shown[-1].startswith("000000000000") == (width >= 96)


def test_a_sentence_leaves_out_what_is_not_known():
    assert sentence(View("train", 3, 60, None, 0.5, 61)) == "train 3/60, accuracy 0.500, 1:01 to go"
    assert sentence(View("train")) == "train"


def test_a_watch_reads_only_what_is_new(runs, monkeypatch):
    (run, *_) = runs.values()
    writer, watch = MetricsWriter(run.path), Watch(run)
    writer.append(1, "train", {"reward": 0.1})
    assert watch.look(0.0).reward == 0.1
    writer.append(2, "train", {"reward": 0.2})
    writer.append(2, "validation", {"validation/accuracy": 0.3})
    read = []
    original = watch._rows.read
    monkeypatch.setattr(watch._rows, "read", lambda: read.extend(original()) or read)
    assert (watch.look(1.0).reward, watch.look(2.0).accuracy) == (0.2, 0.3)
    assert [row["step"] for row in read] == [2, 2]


def test_a_run_that_cannot_be_read_does_not_end_the_display(runs):
    (run, *_) = runs.values()
    (run.path / "state.json").write_text("{")
    assert Watch(run).look(0.0) == View(stage="unreadable")


def test_runs_are_named_by_what_tells_them_apart():
    schedules = [
        config("prefix_rft", seed, method={"name": "prefix_rft", "schedule": {"kind": "uniform", "low": low}})
        for low in (0.1, 0.2)
        for seed in (0, 1)
    ]
    named = list(names(plan([*schedules, config("rft")]).tasks).values())
    assert named == [
        "base model (tiny)",
        "prefix_rft seed 0 low=0.1",
        "prefix_rft seed 1 low=0.1",
        "prefix_rft seed 0 low=0.2",
        "prefix_rft seed 1 low=0.2",
        "rft seed 0",
    ]


def test_what_most_runs_of_a_kind_have_goes_without_saying():
    def run(seed: int, **settings) -> RunConfig:
        return config("prefix_rft", seed, method={"name": "prefix_rft", **settings})

    usual = [run(seed) for seed in range(3)]
    named = names(plan([*usual, run(0, clipping={"keep": 0.5}), run(1, baseline="group")]).tasks).values()
    assert list(named)[1:] == [
        "prefix_rft seed 0",
        "prefix_rft seed 1",
        "prefix_rft seed 2",
        "prefix_rft seed 0 keep=0.5",
        "prefix_rft seed 1 baseline=group",
    ]


def test_runs_of_several_scales_are_named_by_their_scale():
    """What the scales differ in is then said by the scale."""
    here = [config("rft", seed, scale="toy") for seed in (0, 1)]
    there = [
        config("rft", seed, scale="toy_weak", data={"kind": "chain", "teacher": "slips"}) for seed in (0, 1)
    ]
    named = list(names(plan([*here, *there]).tasks).values())
    assert named == [
        "base model (tiny) toy",
        *(f"rft seed {seed} {scale}" for scale in ("toy", "toy_weak") for seed in (0, 1)),
    ]


def test_settings_of_one_last_word_are_told_apart_by_two():
    def run(sft: float, rl: float) -> RunConfig:
        rates = {"sft": {"learning_rate": sft}, "rl": {"learning_rate": rl}}
        return config("sft_rft", 0, optimisation=rates)

    named = names(plan([run(0.1, 0.1), run(0.1, 0.2), run(0.2, 0.2)]).tasks).values()
    assert [name for name in named if name.startswith("sft_rft")] == [
        "sft_rft seed 0 rl.learning_rate=0.1",
        "sft_rft seed 0",
        "sft_rft seed 0 sft.learning_rate=0.2",
    ]
