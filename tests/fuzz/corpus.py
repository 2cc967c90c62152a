"""Words and seeds that lead a fuzzer to what the parsers look at; all of them are made up for the purpose."""

from __future__ import annotations

import json

# fmt: off
MATHEMATICS = (
    *(r"\boxed{", r"\boxed ", r"\fbox{", "}", "{", r"\{", "$", "$$", r"\$", r"\[", r"\]", r"\(", r"\)", "\\"),
    *("####", "answer:", "the answer is ", "A: ", " because ", " is ", "=", "and", "or", ",", "."),
    *("..", "*", "**"),
    *("</think>", "<|im_end|>", "\n", "\n\n", " ", "\t", "\r", "\u2028", "\u00a0", "\u200b", "-", "+"),
    *("\u2212", "%"),
    *("0", "1", "17", "1,000", "10 000", "3e8", "1e-5", r"\times10^", "10^{", "^", "_", "/", "1/2"),
    *("0.5", ".5"),
    *(r"\frac{1}{2}", r"\overline{3}", r"\text{", r"\mathrm{", r"\sqrt", r"\cdot", r"\pi", r"\;", "~"),
    *("x", "aa", "R r"),
    *("million", "dollars", "\u221a", "\u00b2", "\u00bd", "\u03c0", "\uff11", "\u20ac", "\ud800"),
    *("\x00", "\U0001f600"),
)
YAML = (
    *(": ", "- ", "[", "]", "{", "}", ",", "\n", "  ", "'", '"', "#", "&a ", "*a", "<<: ", "!!int "),
    *("!!bool ", "? "),
    *("!!timestamp ", "2020-13-45", "12:61:61", "null", "true", "~", "1e999", ".inf", "0x", "|", ">"),
    *("%", "---\n", "\t"),
    *("title: t\n", "reproduces: r\n", "compare: method\n", "vary:\n", "  method: [rft, sft]\n"),
    *("fixed:\n", "scales:\n"),
    *("variants:\n", "cost:\n", "toy: ", "seed: ", "\x00", "\ud800", "\ufeff", "\u2028"),
)
OVERRIDES = (
    *("method", "seed", "data", "data.path", "model", "scale", "store", ".", "=", "=1", "=null"),
    *("=rft", "=paper", ","),
    *("[", "]", "{", "}", "(", ")", "'", '"', "\\", "${", "${seed}", "${oc.env:HOME}", "???", "+"),
    *("++", "~", "@", "/"),
    *("range(1,3)", "int(", "\n", " ", "--", "true", "1e999", "-1", "nan", "a", ":", "\x00", "\u00e9"),
    *("\ud800",),
    *("sampler", "sampler.batch", "wait", "cluster=", "launcher=slurm", "sweep=main_results"),
)
JSON = (
    *("{", "}", "[", "]", ",", ":", '"', "\n", "\r", " ", "null", "true", "false", "NaN", "Infinity"),
    *("1e999", "-0", "7"),
    *('"step": ', '"kind": ', '"a": ', '"status": ', '"error": ', '"attempt": ', '"id": '),
    *('"problem": ', '"answer": '),
    *('"solution": ', '"gold": ', '"response": ', '"correct": ', '"role": ', '"user"', '"content": '),
    *('"prompt": ',),
    *('"reward_model": ', '"ground_truth": ', '"x"', '"\\ud800"', '"\\u0000"', "\x00", "\ud800"),
    *("\ufeff", "\u2028", "9" * 30),
)
# fmt: on


def _line(**fields: object) -> str:
    return json.dumps(fields) + "\n"


_QUESTION = _line(id="q1", problem="What is 1 + 1?", answer="2", solution="It is 2.")
_LUFFY = _line(
    prompt=[{"role": "user", "content": "What is 1 + 1?"}],
    reward_model={"ground_truth": "2"},
    target=[{"role": "assistant", "content": "It is 2."}],
    data_source="made up",
    extra_info={"index": 1, "split": "train"},
)
_STATE = _line(
    status="running",
    stage="train",
    step=1,
    total_steps=2,
    pid=1,
    host="h",
    started="",
    updated="",
    attempt=1,
    error=None,
)
_SWEEP = "title: t\nreproduces: r\ncompare: method\nvary:\n  method: [rft, sft]\n"
_ROWS = _line(step=1, kind="train", a=0.5) + _line(step=2, kind="train", a=None)

WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("boxes", "extraction", "conclusions", "notations", "scientific_notation", "strings"), MATHEMATICS
    ),
    **dict.fromkeys(("key_values", "overrides"), OVERRIDES + YAML),
    **dict.fromkeys(("sweep_files", "run_files"), YAML),
}
"""By target; JSON for the others."""

SEEDS: dict[str, tuple[str, ...]] = {
    "boxes": (r"so \boxed{\frac{1}{2}} and $\boxed 3$",),
    "extraction": ("a thought</think>\n#### 1,000.5e3\nIt is **7**.",),
    "conclusions": ("The answer is $x = 3$ and $4$.", "so it is 12 square metres, because it is."),
    "notations": (r"1\,000 million", r"0.1\overline{6} \text{ cm}", "\u221a(2) \u00b2\u00bd"),
    "scientific_notation": (r"3\times10^{-5}\text{ m/s}^2", "1,000.5e12"),
    "strings": ("$1$$1.0$",),
    "key_values": ("sampler.batch=8\nbenchmarks=[a, b]\nsampler=vllm",),
    "overrides": ("method=rft\nseed=3", "data.path='a b'\nmodel.architecture={layers: 1}"),
    "sweep_files": (_SWEEP,),
    "records": (_ROWS,),
    "metrics": (_ROWS,),
    "states": (_STATE,),
    "markers": (_line(stage="train", step=3),),
    "run_files": (
        _line(format=1, kind="train", counts={"settings": {}}, id="0123456789ab"),
        "method: {name: rft}\n",
    ),
    "scores": (_line(subject="s", protocol={}, questions=1, samples=1),),
    "jsonl_rows": (_QUESTION,),
    "parquet_rows": (_LUFFY, "PAR1"),
    "samples": ("PAR1",),
    "labelled": (_line(gold="1", response="1", correct=True),),
}
