"""The benchmarks: what each is, how many problems it has, and where copies are.

No copy on the hub was read to write this table. What such a copy holds is compared with the manifest when it is first
read, and refused with the differences listed where it is another set.

To add one: an entry here, and a manifest of its hashes (`python -m eval.benchmarks.write <folder> <name>`) once
somebody has a copy that is known to be the one papers use; without one its digest is None.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.benchmarks.schema import Benchmark, HubSource
from prefix_rft.errors import SettingsError, unknown

_LUFFY = "the problems of ElliottYan/LUFFY@01f4ae0, data/valid.all.parquet"
_OOD = "count: ZeroYuHuang/prefix_rft@e0b6f43, recipe/prepare_data/luffy_test.py; content: not read yet"

_ALL = (
    Benchmark(
        name="aime24",
        title="AIME24",
        group="mathematics",
        problems=30,
        answer="integer",
        samples=32,
        digest="ada39e1996457a87",
        file="aime24.jsonl",
        hub=HubSource(
            repository="HuggingFaceH4/aime_2024",
            revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
            split="train",
            id="id",
        ),
        source="QwenLM/Qwen2.5-Math@a45202b, evaluation/data/aime24",
    ),
    Benchmark(
        name="aime25",
        title="AIME25",
        group="mathematics",
        problems=30,
        answer="integer",
        samples=32,
        digest="55d22d42b5c0e294",
        file="aime25.jsonl",
        hub=HubSource(
            repository="math-ai/aime25",
            revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
            split="test",
            id="id",
            note="Two wordings of these problems circulate; LUFFY's files have the other one.",
        ),
        source="NVIDIA/NeMo-Skills@0b012df, nemo_skills/dataset/aime25; answers as in LUFFY's files",
    ),
    Benchmark(
        name="amc",
        title="AMC",
        group="mathematics",
        problems=83,
        answer="integer",
        samples=32,
        digest="4e0335348dbfa012",
        file="amc_83.jsonl",
        hub=HubSource(
            repository="AI-MO/aimo-validation-amc",
            revision="69d78a4a2c840e82d69af6bc742bda09005f6316",
            split="train",
            id="id",
        ),
        source="AMC 12 of 2022 and 2023, PRIME-RL/PRIME@18ad596, eval/data/AI-MO; the set of LUFFY, ReLIFT, Prefix-RFT",
    ),
    Benchmark(
        name="amc23",
        title="AMC23",
        group="mathematics",
        problems=40,
        answer="integer",
        samples=32,
        digest="549ad02b1b414a4c",
        file="amc23_40.jsonl",
        hub=HubSource(
            repository="math-ai/amc23",
            revision="80815d37005feb82cd7f8fbc6901d5d3eff43057",
            split="test",
            id="id",
            problem="question",
        ),
        source="the 2023 half of AMC, QwenLM/Qwen2.5-Math@a45202b, evaluation/data/amc23",
    ),
    Benchmark(
        name="math500",
        title="MATH-500",
        group="mathematics",
        problems=500,
        answer="expression",
        samples=1,
        digest="c85689cf9f43b6d4",
        file="math500.jsonl",
        hub=HubSource(
            repository="HuggingFaceH4/MATH-500",
            revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
            split="test",
            id="unique_id",
        ),
        source="hkust-nlp/simpleRL-reason@cf1c785, examples/simplelr_math_eval/data/math500",
    ),
    Benchmark(
        name="minerva",
        title="Minerva",
        group="mathematics",
        problems=272,
        answer="number",
        samples=1,
        digest="3e1175aa81d87918",
        file="minerva_math.jsonl",
        hub=HubSource(repository="math-ai/minervamath", split="test", problem="question"),
        scientific=True,
        source=f"QwenLM/Qwen2.5-Math@a45202b, evaluation/data/minerva_math; answers: {_LUFFY}",
    ),
    Benchmark(
        name="olympiad",
        title="Olympiad",
        group="mathematics",
        problems=675,
        answer="expression",
        samples=1,
        digest="8cfcf2a62eb2d3cd",
        file="olympiadbench_maths_en_675.jsonl",
        hub=HubSource(
            repository="Hothan/OlympiadBench",
            config="OE_TO_maths_en_COMP",
            revision="91184b52131e7fc9455fef848035173aea8cc01a",
            split="train",
            id="id",
            problem="question",
            answer="final_answer",
            note="It is said to hold 674 of the 675 problems.",
        ),
        source="OlympiadBench OE_TO_maths_en_COMP, QwenLM/Qwen2.5-Math@a45202b, evaluation/data/olympiadbench",
    ),
    Benchmark(
        name="arc_c",
        title="ARC-c",
        group="general",
        problems=1172,
        answer="choice",
        samples=1,
        digest=None,
        file="arc_c.jsonl",
        hub=HubSource(
            repository="allenai/ai2_arc",
            config="ARC-Challenge",
            revision="210d026faf9955653af8916fad021475a3f00453",
            split="test",
            id="id",
            choices="arc",
        ),
        source=_OOD,
    ),
    Benchmark(
        name="gpqa_diamond",
        title="GPQA-diamond",
        group="general",
        problems=198,
        answer="choice",
        samples=1,
        digest=None,
        file="gpqa_diamond.jsonl",
        hub=HubSource(
            repository="Idavidrein/gpqa",
            config="gpqa_diamond",
            split="train",
            id="Record ID",
            choices="gpqa",
            note="It is gated: accept its terms on the hub and log in (hf auth login).",
        ),
        source=_OOD,
    ),
    Benchmark(
        name="mmlu_pro",
        title="MMLU-Pro",
        group="general",
        problems=12032,
        answer="choice",
        samples=1,
        digest=None,
        file="mmlu_pro.jsonl",
        hub=HubSource(
            repository="TIGER-Lab/MMLU-Pro",
            revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
            split="test",
            id="question_id",
            choices="mmlu_pro",
        ),
        source=_OOD,
    ),
)

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
GROUPS: dict[str, tuple[str, ...]] = {
    "paper": ("aime24", "aime25", "amc", "math500", "minerva", "olympiad"),
    "general": ("arc_c", "gpqa_diamond", "mmlu_pro"),
    "all": tuple(BENCHMARKS),
}
"""paper: the six of the paper's tables; AMC there is the set of 83."""


def select(asked: str | Sequence[str]) -> list[Benchmark]:
    """The benchmarks named, in the order named, each once.

    Args:
        asked: names or groups, as a list or separated by commas.

    Raises:
        SettingsError: nothing is named, or a name is unknown; names the choices.
    """
    words = [word.strip() for word in (asked.split(",") if isinstance(asked, str) else asked)]
    names = [name for word in words if word for name in _names(word)]
    if not names:
        raise SettingsError(f"no benchmark is named. Known: {', '.join([*GROUPS, *BENCHMARKS])}.")
    return [BENCHMARKS[name] for name in dict.fromkeys(names)]


def _names(word: str) -> tuple[str, ...]:
    if word in GROUPS:
        return GROUPS[word]
    if word in BENCHMARKS:
        return (word,)
    raise SettingsError(unknown("benchmark", word, [*GROUPS, *BENCHMARKS]))
