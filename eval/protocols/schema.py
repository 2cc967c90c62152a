"""What a protocol fixes: the prompt for each model family, decoding, samples, and grading."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, field_validator

from eval.benchmarks.schema import Benchmark
from prefix_rft.data.encode import Template
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.settings.base import Settings
from prefix_rft.settings.grading import GradingSettings, Think

Family = Literal["qwen2.5-math", "llama", "qwen3"]
FAMILIES: tuple[Family, ...] = get_args(Family)
_FAMILY_OF_TYPE: dict[str, Family] = {"qwen2": "qwen2.5-math", "llama": "llama", "qwen3": "qwen3"}


class PromptForm(Settings):
    """How a problem becomes a prompt."""

    system: str | None = None
    """Text of the system message; None sends none. Where the tokenizer's template writes the same text by itself, it
    is not sent a second time."""
    user: str = "{problem}"
    """The user message; {problem} stands for the problem's text."""
    assistant_start: str = ""
    """What the response is made to begin with, e.g. `<think>` and a line feed; nothing is added where the rendered
    prompt ends in it already."""
    rendering: Template = "tokenizer"
    """tokenizer: the chat template of the model's tokenizer; plain: the messages' text joined by line feeds."""

    @field_validator("user")
    @classmethod
    def asks_once(cls, value: str) -> str:
        """The problem stands in the message once."""
        if value.count("{problem}") != 1:
            raise ValueError(f"the user message must hold {{problem}} once, this is {value!r}")
        return value


class FamilyForm(PromptForm):
    """How models of one family are asked, where that is another way, and what of their responses is graded."""

    think: Think = "whole"
    """What is graded, see `GradingSettings.think`: models that are not made to think write no `</think>`."""


class EvaluationProtocol(PromptForm):
    """A way to measure a model that papers or programs share; two numbers compare only under the same one."""

    name: str = Field(pattern=r"^[a-z0-9_.-]+$")
    """Name in settings, folders and tables."""
    title: str
    """Name in texts."""
    source: str
    """Where it is written down: paper, repository and commit, file."""
    families: dict[Family, FamilyForm] = Field(default_factory=dict)
    """Prompts of model families that are asked in another way."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature; 0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling; 1 keeps every token."""
    max_tokens: int = Field(8192, ge=1)
    """Longest response in tokens; a longer one is cut and graded as it stands."""
    samples: dict[str, int] = Field(default_factory=dict)
    """Samples a problem, by benchmark; the registry's number where a benchmark is not named."""
    seed: int = 0
    """Seed of the samples."""
    grading: GradingSettings = GradingSettings()
    """How a response is graded."""
    notes: tuple[str, ...] = ()
    """How this differs from what the source did, as far as it is known; shown under tables."""

    def for_family(self, family: str | None) -> Self:
        """The protocol as it asks models of this family; None: of no family in particular.

        Raises:
            SettingsError: there is no such family.
        """
        if family is None:
            return self
        if family not in FAMILIES:
            raise SettingsError(unknown("model family", family, FAMILIES))
        form = self.families.get(family)
        if form is None:
            return self
        asked = {name: getattr(form, name) for name in PromptForm.model_fields}
        grading = self.grading.model_copy(update={"think": form.think})
        return self.model_copy(update={**asked, "grading": grading})

    def samples_of(self, benchmark: Benchmark) -> int:
        """Samples a problem of this benchmark."""
        return self.samples.get(benchmark.name, benchmark.samples)


def family_of(model_type: str) -> Family | None:
    """The family of a model by the `model_type` of its config.json; None for one that protocols do not tell apart."""
    return _FAMILY_OF_TYPE.get(model_type)
