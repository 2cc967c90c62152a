"""What the design of the embedded task does to the headline, said wherever its tables are shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from analysis.results import Results
from analysis.summary import of_metric
from prefix_rft.settings import ChainData, RunConfig, TinyModel

_HIDDEN_BELOW = 0.05
"""Share of one-operation steps in the base's habit below which the skill hardly ever shows."""
_TOLD = {"kind", "teacher", "slip_rate", "fillers", "filler_kinds"}
"""Settings of the task that the sentences below speak of."""
_SIZES = {
    "grading",
    "max_prompt_tokens",
    "max_response_tokens",
    "fraction",
    "demonstration_coverage",
    "subset_seed",
    "skip_bad_rows",
    "train_questions",
    "validation_questions",
    "test_questions",
    "seed",
}
"""Settings that leave the task what it is."""


def design_note(results: Results) -> str | None:
    """What the task's design does to the headline; None where any run used other data or another model."""
    configs = list(results.configs.values())
    if not configs or not all(_embedded(config) for config in configs):
        return None
    models = list(dict.fromkeys(config.model for config in configs if isinstance(config.model, TinyModel)))
    tasks = list(dict.fromkeys(config.data for config in configs if isinstance(config.data, ChainData)))
    sentences = [
        "The headline depends on the design of the task.",
        _skill_sentence(results, models),
        *_teacher_sentences(tasks),
        *_style_sentence(tasks),
        *_otherwise(tasks),
        _situation(models, tasks),
        "Read the order of the rows as a finding about this task, not about language models at large.",
    ]
    return " ".join(sentences)


def _embedded(config: RunConfig) -> bool:
    return isinstance(config.data, ChainData) and isinstance(config.model, TinyModel)


def _skill_sentence(results: Results, models: Sequence[TinyModel]) -> str:
    families = list(dict.fromkeys(model.architecture.family for model in models))
    architecture = "" if families == ["qwen2"] else f"{' and '.join(families)} architecture"
    aside = "; ".join(part for part in (_base_scores(results), architecture) if part)
    subject, were = (f"{len(models)} base models", "were") if len(models) > 1 else ("base model", "was")
    return f"The {subject}{f' ({aside})' if aside else ''} {were} {_upbringing(models)}."


def _upbringing(models: Sequence[TinyModel]) -> str:
    if all(model.skill_steps == 0 for model in models):
        return "never taught the skill of solving a question step by step"
    if all(model.habit_steps == 0 for model in models):
        return "taught the skill, which no habit hides"
    hidden = [_hides(model) for model in models]
    how = "hides it almost completely" if all(hidden) else "lets it show now and then"
    how = "hides it almost completely in some of them only" if any(hidden) and not all(hidden) else how
    return f"taught the skill first and then a habit that {how}"


def _hides(model: TinyModel) -> bool:
    return model.habit_steps > 0 and model.habit_stepwise <= _HIDDEN_BELOW


def _base_scores(results: Results) -> str:
    base = [label for label in results.labels if results.method(label) == "base" and results.evaluated(label)]
    if not base:
        return ""
    metric = results.metrics[0]
    means = [100 * of_metric(results.evaluated(label), metric).mean for label in base]
    low, high = min(means), max(means)
    return f"{metric} {low:.1f}%" if len(base) == 1 else f"{metric} {low:.1f}% to {high:.1f}%"


def _teacher_sentences(tasks: Sequence[ChainData]) -> Iterable[str]:
    teachers = dict.fromkeys(
        (task.teacher, task.slip_rate if task.teacher == "slips" else 0) for task in tasks
    )
    if len(teachers) > 1:
        yield "The rows differ in their teacher."
    if any(teacher == "perfect" for teacher, _ in teachers):
        yield "The teacher makes no mistakes."
    if any(teacher == "systematic" for teacher, _ in teachers):
        yield "The teacher errs systematically: its demonstrations always go wrong at the same kind of step."
    rates = sorted(rate for teacher, rate in teachers if teacher == "slips")
    if rates:
        yield f"The teacher slips at random in {_listed([f'{rate:.0%}' for rate in rates])} of the demonstrations."


def _style_sentence(tasks: Sequence[ChainData]) -> Iterable[str]:
    most = {task.fillers for task in tasks if task.fillers}
    if most:
        yield (
            f"Between two steps the teacher writes up to {_listed([str(n) for n in sorted(most)])} letters that mean "
            "nothing, drawn at random, and says the result again: a style that costs length and cannot be foreseen."
        )


def _otherwise(tasks: Sequence[ChainData]) -> Iterable[str]:
    """Every other setting of the task that is not the default."""
    changed: dict[str, list[str]] = {}
    for name, field in ChainData.model_fields.items():
        values = (
            list(dict.fromkeys(getattr(task, name) for task in tasks)) if name not in _TOLD | _SIZES else []
        )
        if values and values != [field.default]:
            changed[name] = [str(value) for value in values]
    if changed:
        listed = ", ".join(f"{name} {_listed(values)}" for name, values in changed.items())
        yield f"Unlike the default task: {listed}."


def _situation(models: Sequence[TinyModel], tasks: Sequence[ChainData]) -> str:
    """What the two sides of the design make of imitation and of reward."""
    imitation = _imitation({task.teacher for task in tasks})
    reward = (
        "reward alone has little to start from: the situation in which blending the two pays"
        if all(_hides(model) or model.skill_steps == 0 for model in models)
        else "reward alone has something to start from: the situation in which demonstrations may add nothing"
    )
    return f"{imitation}, and {reward}."


_CEILINGS = {
    "systematic": ("with systematic mistakes", "imitation has a ceiling that reward has not"),
    "slips": (
        "with random slips",
        "sampling below temperature 1 averages much of that out, so imitation can pass its teacher",
    ),
    "perfect": ("without mistakes", "imitation can reach everything that reward can"),
}


def _imitation(teachers: Collection[str]) -> str:
    """Where imitation ends; several kinds of teachers are told apart."""
    said = [(when, what) for teacher, (when, what) in _CEILINGS.items() if teacher in teachers]
    text = said[0][1] if len(said) == 1 else "; ".join(f"{when} {what}" for when, what in said)
    return f"{text[0].upper()}{text[1:]}"


def _listed(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"
