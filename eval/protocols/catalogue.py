"""The protocols. docs/protocols.md puts them side by side.

To add one: an entry with its source, and a note for everything in which it departs from that source.
"""

from __future__ import annotations

from eval.protocols.schema import EvaluationProtocol, FamilyForm
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.settings.grading import GradingSettings

THINK = "<think>\n"
STEP_BY_STEP = "\nPlease reason step by step, and put your final answer within \\boxed{}"
LUFFY_SYSTEM = (
    "Your task is to follow a systematic, thorough reasoning process before providing the final solution. This "
    "involves analyzing, summarizing, exploring, reassessing, and refining your thought process through multiple "
    "iterations. Structure your response into two sections: Thought and Solution. In the Thought section, present your "
    'reasoning using the format: "<think>\n {thoughts} </think>\n". Each thought should include detailed analysis, '
    'brainstorming, verification, and refinement of ideas. After "</think>\n," in the Solution section, provide the '
    "final, logical, and accurate answer, clearly derived from the exploration in the Thought section. If applicable, "
    "include the answer in \\boxed{} for closed-form results like multiple choices or mathematical solutions."
)
"""The system message of LUFFY's data, word for word (ElliottYan/LUFFY@01f4ae0, data/valid.all.parquet): models trained
on these data were trained under it."""

_LUFFY_LLAMA = FamilyForm(
    user="User: {problem}", assistant_start="\nAnswer: Let's think step by step.", rendering="plain"
)
"""arXiv 2504.14945, appendix C.2: no system text and no `<think>` for Llama-3.1-8B."""
_LUFFY_PROMPT = (
    "The released script drops the rows' system message and relies on the template of the released tokenizer to write "
    "the text that appendix C.2 prints; here it is sent as the system message unless the template writes it by itself."
)
_OWN_BOX = (
    "Only a boxed answer counts, found by this project's own extraction; Math-Verify alone also takes the last formula "
    "or number of a response without a box."
)

_ALL = (
    EvaluationProtocol(
        name="luffy",
        title="LUFFY",
        source="arXiv 2504.14945, appendix C.2; ElliottYan/LUFFY@01f4ae0, README.md and eval_scripts/generate_vllm.py",
        system=LUFFY_SYSTEM,
        assistant_start=THINK,
        families={"llama": _LUFFY_LLAMA},
        temperature=0.6,
        top_p=1.0,
        max_tokens=8192,
        grading=GradingSettings(think="after_close"),
        notes=(
            "The README labels by OAT's grader (boxed_reward_fn, fast=False), here Math-Verify labels. OAT's is on "
            "PyPI only inside oat-llm 0.2.4 (Python below 3.11, vllm 0.8.4, pyarrow below 12), which cannot be "
            "installed beside this project. It also compares strings without units and common words, and asks "
            "Math-Verify for a second at most: it accepts some answers that are refused here.",
            _LUFFY_PROMPT,
        ),
    ),
    EvaluationProtocol(
        name="relift",
        title="ReLIFT",
        source="arXiv 2506.07527; TheRoadQaQ/ReLIFT@eb95454, eval_scripts (generate_vllm.py is LUFFY's)",
        system=LUFFY_SYSTEM,
        assistant_start=THINK,
        families={"llama": _LUFFY_LLAMA},
        temperature=0.6,
        top_p=1.0,
        max_tokens=8192,
        grading=GradingSettings(think="required"),
        notes=(
            _OWN_BOX,
            "The repository's validation file repeats AIME 8 and AMC 4 times and has no Minerva, the paper speaks of "
            "avg@32 and avg@8; the samples here are LUFFY's.",
            _LUFFY_PROMPT,
        ),
    ),
    EvaluationProtocol(
        name="prefix_rft",
        title="Prefix-RFT",
        source=(
            "arXiv 2507.01679; ZeroYuHuang/prefix_rft@5f5d2a1, recipe/prepare_data/luffy_test.py, "
            "recipe/prefix_rft/config/prefix_rft_trainer.yaml (val_kwargs), custom_rewards/math_oat.py"
        ),
        user="{problem}" + STEP_BY_STEP,
        temperature=0.6,
        top_p=0.95,
        max_tokens=8192,
        grading=GradingSettings(think="after_close"),
        notes=(
            "The settings of the paper's own runs were not released. Temperature and top_p are those of the released "
            "configuration, which also sets do_sample: False, under which verl ignores both and decodes greedily. The "
            "longest response is LUFFY's, which the paper follows.",
            "The released code grades with OAT's grader or with one of four others; Math-Verify labels here.",
        ),
    ),
    EvaluationProtocol(
        name="plain",
        title="plain",
        source="this project",
        user="{problem}" + STEP_BY_STEP + ".",
        rendering="plain",
        temperature=0.6,
        top_p=1.0,
        max_tokens=8192,
        grading=GradingSettings(think="after_close"),
        notes=(
            "No paper's protocol: for base models without a chat template, and for models compared across papers.",
        ),
    ),
    EvaluationProtocol(
        name="lighteval",
        title="lighteval",
        source="lighteval 0.13.0, tasks gpqa:diamond and mmlu_pro; ARC-c in the form of mmlu_pro",
        user="{problem}",
        temperature=0.6,
        top_p=1.0,
        max_tokens=8192,
        notes=(
            "Problems are lighteval's own prompts (`prefix-rft lighteval-documents`). Its ARC-c compares "
            "log-likelihoods of the options; here the model writes an answer.",
        ),
    ),
)

PROTOCOLS: dict[str, EvaluationProtocol] = {protocol.name: protocol for protocol in _ALL}


def find(name: str, family: str | None = None) -> EvaluationProtocol:
    """The protocol of this name, as it asks models of a family.

    Raises:
        SettingsError: there is no such protocol or family; names the choices.
    """
    if name not in PROTOCOLS:
        raise SettingsError(unknown("protocol", name, PROTOCOLS))
    return PROTOCOLS[name].for_family(family)
