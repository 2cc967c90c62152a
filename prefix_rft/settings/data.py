"""Settings of questions and demonstrations."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings
from prefix_rft.settings.grading import GradingSettings


class _Data(Settings):
    """Common to every source."""

    grading: GradingSettings = GradingSettings()
    """How responses to these questions are graded."""
    max_prompt_tokens: int = Field(1024, ge=1)
    """Longest prompt; a question beyond it is refused (or counted and left out with skip_bad_rows)."""
    max_response_tokens: int = Field(8192, ge=2)
    """Longest response, prefix included; also C, the constant divisor of Dr.GRPO's sum over tokens."""
    fraction: float = Field(1.0, gt=0, le=1)
    """Share of the training questions that is used; smaller shares lie inside larger ones (keyed hash)."""
    demonstration_coverage: float = Field(1.0, ge=0, le=1)
    """Share of the training questions that keeps its demonstrations; nested like `fraction`."""
    subset_seed: int = 0
    """Key of the two nested shares."""
    skip_bad_rows: bool = False
    """Leave malformed rows out, counted and listed, instead of refusing the file."""


class ChainData(_Data):
    """The embedded task: chains of + and - over pairs of digits in Z_m x Z_m, with an imperfect teacher."""

    kind: Literal["chain"] = "chain"
    grading: GradingSettings = GradingSettings(extract=("after_marker",), marker="#", verifier="exact")
    """How responses are graded: the two digits after the last #."""
    max_prompt_tokens: int = Field(16, ge=1)
    """Longest prompt; a question of k operations has 3k + 3 tokens."""
    max_response_tokens: int = Field(32, ge=2)
    """Longest response, prefix included; an expert's solution of k operations has 6k + 6 tokens, more if wordy."""
    modulus: int = Field(4, ge=2, le=10)
    """m: digits run from 0 to m - 1."""
    min_operations: int = Field(3, ge=1)
    """Fewest operations of a question."""
    max_operations: int = Field(4, ge=1)
    """Most operations of a question."""
    teacher: Literal["systematic", "slips", "perfect"] = "systematic"
    """How demonstrations go wrong: always at the same kind of step, by random slips, or never."""
    slip_rate: float = Field(0.3, ge=0, le=1)
    """Share of demonstrations with one slip (teacher=slips only)."""
    fillers: int = Field(0, ge=0, le=8)
    """Most letters that the expert writes between two steps: 1 to so many, then the result again; 0: none."""
    filler_kinds: int = Field(4, ge=1, le=26)
    """Different letters that fillers are drawn from; the vocabulary has them only where fillers > 0."""
    train_questions: int = Field(1024, ge=1)
    """Training questions."""
    validation_questions: int = Field(256, ge=1)
    """Validation questions; hyper-parameters are chosen on these."""
    test_questions: int = Field(512, ge=1)
    """Test questions, disjoint from both."""
    seed: int = 1
    """Seed of the questions and of the teacher's mistakes."""

    @property
    def letters(self) -> int:
        """Letters in the vocabulary."""
        return self.filler_kinds if self.fillers else 0

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if self.min_operations > self.max_operations:
            raise ValueError(
                f"min_operations={self.min_operations} exceeds max_operations={self.max_operations}"
            )
        self._fits()
        self._enough()
        return self

    def _fits(self) -> None:
        k = self.max_operations
        prompt, response = 3 * k + 3, 6 * k + 6
        if self.fillers:
            response += (k - 1) * (self.fillers + 2)
        if self.max_prompt_tokens < prompt or self.max_response_tokens < response:
            raise ValueError(
                f"max_operations={k} with fillers={self.fillers} needs max_prompt_tokens >= {prompt} (is "
                f"{self.max_prompt_tokens}) and max_response_tokens >= {response} (is {self.max_response_tokens})"
            )

    def _enough(self) -> None:
        """Half of the questions there are is the most that rejection finds quickly."""
        wanted = self.train_questions + self.validation_questions + self.test_questions
        exist = sum(
            self.modulus ** (2 * k + 2) * 2**k for k in range(self.min_operations, self.max_operations + 1)
        )
        if 2 * wanted > exist:
            raise ValueError(
                f"{wanted} different questions are asked for, but modulus={self.modulus} with "
                f"{self.min_operations} to {self.max_operations} operations has only {exist} and at most "
                "half of them are used; raise modulus or max_operations, or lower the counts"
            )


class Columns(Settings):
    """Which field of a JSONL row holds what."""

    id: str | None = "id"
    """Unique name of the question; null numbers the rows instead."""
    question: str = "problem"
    """The question's text, or a list of messages {role, content}."""
    answer: str = "answer"
    """The gold answer."""
    demonstration: str | None = "solution"
    """A demonstration or a list of them; null for data without demonstrations."""
    correctness: str | None = None
    """Whether each demonstration is correct (a boolean or a list of them); null if the file does not say."""


class _Files(_Data):
    """Common to files and hub data sets: which rows train, validate and test."""

    system_prompt: str | None = None
    """A system message put before every question that has none."""
    drop_system_prompt: bool = False
    """Remove the system message that rows carry (before `system_prompt` is put in, if one is given)."""
    question_suffix: str = ""
    """Text added to the end of every question, e.g. an instruction on the answer's format."""
    validation_questions: int = Field(64, ge=0)
    """Rows taken for validation (keyed by hash of the id), where no validation file is given."""
    test_questions: int = Field(64, ge=0)
    """Rows taken for testing (keyed by hash of the id), where no test file is given."""
    limit: int | None = Field(None, ge=1)
    """Use only the first rows of the training source, for trials."""


class JsonlData(_Files):
    """One JSON object a line."""

    kind: Literal["jsonl"] = "jsonl"
    path: str
    """Training file."""
    validation_path: str | None = None
    """Validation file with the same columns."""
    test_path: str | None = None
    """Test file with the same columns."""
    columns: Columns = Columns()
    """Which field holds what."""


class ParquetData(_Files):
    """Parquet in the layout of verl and LUFFY: prompt, target, reward_model.ground_truth, extra_info."""

    kind: Literal["parquet"] = "parquet"
    path: str
    """Training file."""
    validation_path: str | None = None
    """Validation file of the same layout."""
    test_path: str | None = None
    """Test file of the same layout."""
    ids: Literal["index", "row"] = "index"
    """Names of questions: data_source, extra_info.split and extra_info.index joined, or the row's number."""


class HubData(_Files):
    """A data set on the Hugging Face hub, in the parquet layout or with named columns."""

    kind: Literal["hub"] = "hub"
    repository: str
    """owner/name on the hub."""
    revision: str = "main"
    """Commit, tag or branch; pin a commit for numbers that last."""
    split: str = "train"
    """Split that holds the training questions."""
    validation_split: str | None = None
    """Split that holds the validation questions; null holds rows of the training split out."""
    test_split: str | None = None
    """Split that holds the test questions; null holds rows of the training split out."""
    layout: Literal["luffy", "columns"] = "luffy"
    """luffy: prompt/target/reward_model; columns: the fields named by `columns`."""
    columns: Columns = Columns()
    """Which field holds what (layout=columns only)."""
    ids: Literal["index", "row"] = "index"
    """Names of questions (layout=luffy only), as for parquet."""


FileSettings = JsonlData | ParquetData | HubData
"""Settings of data that somebody else wrote."""
DataSettings = Annotated[ChainData | JsonlData | ParquetData | HubData, Field(discriminator="kind")]
