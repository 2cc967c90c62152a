"""What the design of the embedded task does to the headline, said wherever its tables are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.results import Results
from analysis.summary import of_metric
from prefix_rft.settings import ChainData, RunConfig, TinyModel

_HIDDEN_BELOW = 0.05
"""Share of one-operation steps in the base's habit below which the skill hardly ever shows."""


def design_note(results: Results) -> str | None:
    """What the task's design does to the headline; None where any run used other data or another model."""
    configs = list(results.configs.values())
    if not configs or not all(_embedded(config) for config in configs):
        return None
    sentences = ["The headline depends on the design of the task."]
    sentences += [_skill_sentence(results), *_teacher_sentences(configs)]
    sentences.append(_situation(configs))
    sentences.append(
        "Read the order of the methods as a finding about this task, not about language models at large."
    )
    return " ".join(sentences)


def _embedded(config: RunConfig) -> bool:
    return isinstance(config.data, ChainData) and isinstance(config.model, TinyModel)


def _skill_sentence(results: Results) -> str:
    how = "hides it almost completely" if _hidden(results.configs.values()) else "lets it show now and then"
    return f"The base model{_base_score(results)} was taught the skill first and then a habit that {how}."


def _situation(configs: Sequence[RunConfig]) -> str:
    """What the two sides of the design make of imitation and of reward."""
    systematic = any(isinstance(c.data, ChainData) and c.data.teacher == "systematic" for c in configs)
    imitation = (
        "Imitation then has a ceiling that reward has not"
        if systematic
        else "Sampling below temperature 1 averages much of that out, so imitation can pass its teacher"
    )
    hidden = _hidden(configs)
    reward = (
        "reward alone has little to start from: the situation in which blending the two pays"
        if hidden
        else "reward alone has something to start from: the situation in which demonstrations may add nothing"
    )
    return f"{imitation}, and {reward}."


def _hidden(configs: Iterable[RunConfig]) -> bool:
    models = [config.model for config in configs if isinstance(config.model, TinyModel)]
    return all(model.habit_stepwise <= _HIDDEN_BELOW for model in models)


def _base_score(results: Results) -> str:
    base = [label for label in results.labels if results.method(label) == "base" and results.evaluated(label)]
    if len(base) != 1:
        return ""
    metric = results.metrics[0]
    return f" ({metric} {100 * of_metric(results.evaluated(base[0]), metric).mean:.1f}%)"


def _teacher_sentences(configs: Sequence[RunConfig]) -> Iterable[str]:
    teachers = {
        (config.data.teacher, config.data.slip_rate)
        for config in configs
        if isinstance(config.data, ChainData)
    }
    if any(teacher == "systematic" for teacher, _ in teachers):
        yield "The teacher errs systematically: its demonstrations always go wrong at the same kind of step."
    for rate in sorted({rate for teacher, rate in teachers if teacher == "slips"}):
        yield f"The teacher slips at random in {rate:.0%} of the demonstrations."
