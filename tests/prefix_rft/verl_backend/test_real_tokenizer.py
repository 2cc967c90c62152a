"""Prompts, prefixes and ends with a tokenizer as published ones are: Qwen2's pieces, 12,000 tokens from real solutions.

Its special tokens come last, two added ones (`<think>`, `</think>`) are not special, and the model has more rows than
the tokenizer has tokens. The model folder goes through `prepare_model` as a published one does.
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prefix_rft.data.encode import Encoder, encode_questions, load_encoder
from prefix_rft.data.schema import Demonstration, Message, Question
from prefix_rft.errors import DataError, TrainingError
from prefix_rft.grading import make_grader
from prefix_rft.local.initial import write_random_model
from prefix_rft.methods import make_method
from prefix_rft.models.prepare import prepare_model
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.settings import Architecture, parse
from prefix_rft.settings.data import JsonlData
from prefix_rft.settings.method import PrefixRftMethod
from prefix_rft.verl_backend.rows import AskedRow, asked_rows, graded_rows
from prefix_rft.verl_backend.task import Task, rollout_task

VOCABULARY, ROWS = 12_000, 12_160
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
ADDED = ("<think>", "</think>")
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts text before it merges bytes; a space belongs to the word after it."""
CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
AT = StepContext(seed=5, step=3, total_steps=10)
COUNT = 200


def write_tokenizer(folder: Path, texts: list[str]) -> None:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
    from tokenizers import pre_tokenizers as pre

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre.Sequence(
        [pre.Split(Regex(PIECES), "isolated"), pre.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet, learnt = pre.ByteLevel.alphabet(), VOCABULARY - len(SPECIAL + ADDED)
    trainer = trainers.BpeTrainer(vocab_size=learnt, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": SPECIAL[0],
        "pad_token": SPECIAL[0],
        "bos_token": None,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHATML,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture(scope="module")
def solved(shared_data: Path) -> list[dict[str, Any]]:
    """Real questions with worked solutions."""
    file = shared_data / "train" / "math_train_2000of7500.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def published(solved: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as Qwen2.5-Math is published: 4,096 positions, rope_theta 10,000."""
    folder = tmp_path_factory.mktemp("published")
    write_tokenizer(folder, [f"{row['problem']}\n{row['solution']}" for row in solved])
    shape = Architecture(
        hidden_size=16,
        layers=1,
        heads=2,
        intermediate_size=16,
        key_value_heads=1,
        max_positions=4096,
        rope_theta=1e4,
    )
    end = VOCABULARY - len(SPECIAL + ADDED)
    write_random_model(folder, shape, vocabulary=ROWS, eos_id=end, pad_id=end, seed=0)
    return folder


@pytest.fixture(scope="module")
def prepared(published: Path) -> Path:
    return prepare_model(str(published), published.parent / "prepared").folder


@pytest.fixture(scope="module")
def encoder(prepared: Path) -> Encoder:
    return load_encoder(prepared)


@pytest.fixture(scope="module")
def ids(prepared: Path) -> dict[str, int]:
    """Of the added tokens and the line feed."""
    vocabulary = json.loads((prepared / "tokenizer.json").read_text(encoding="utf-8"))
    added = {token["content"]: token["id"] for token in vocabulary["added_tokens"]}
    return added | {"\n": vocabulary["model"]["vocab"]["Ċ"]}


def as_questions(solved: list[dict[str, Any]], **changes: str) -> list[Question]:
    return [
        Question(
            id=row["id"],
            messages=(Message(role="user", content=row["problem"]),),
            answer=row["answer"],
            demonstrations=(Demonstration(text=changes.get("text", row["solution"])),),
        )
        for row in solved
    ]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> JsonlData:
    values = {"path": "x.jsonl", "max_prompt_tokens": 1024, "max_response_tokens": 2048}
    return parse(JsonlData, values)


@pytest.fixture(scope="module")
def questions(solved: list[dict[str, Any]], encoder: Encoder, settings: JsonlData) -> list[QuestionTokens]:
    found = encode_questions(as_questions(solved[:COUNT]), encoder, settings).questions
    assert len(found) == COUNT
    return list(found)


def test_the_tokenizer_is_of_a_real_size(encoder, ids):
    assert encoder.vocabulary_size == VOCABULARY
    assert sorted(ids[token] for token in SPECIAL + ADDED) == list(range(VOCABULARY - 5, VOCABULARY))
    assert encoder.eos_id == encoder.pad_id == ids["<|endoftext|>"]


def test_solutions_survive_and_have_one_end(encoder, questions, solved, ids):
    for question, row in zip(questions, solved, strict=False):
        assert question.demonstration is not None
        *body, end = question.demonstration
        assert end == encoder.eos_id
        assert not {ids[token] for token in SPECIAL} & set(body)
        assert encoder.decode(question.demonstration) == unicodedata.normalize("NFC", row["solution"])
    lengths = [len(question.demonstration or ()) for question in questions]
    characters = sum(len(row["solution"]) for row in solved[:COUNT])
    assert characters / sum(lengths) > 2  # merges, not bytes


def test_the_prompt_is_the_templates_with_added_tokens_whole(encoder, questions, solved, ids):
    """LUFFY's prompt ends in `<think>` and a line feed, here a token each, whatever the response begins with."""
    for question, row in zip(questions[:20], solved, strict=False):
        assert question.prompt[-2:] == (ids["<think>"], ids["\n"])
        rendered = encoder.render((Message(role="user", content=row["problem"]),))
        assert rendered.endswith("Assistant: <think>\n")
        assert encoder.decode(question.prompt) == unicodedata.normalize("NFC", rendered)


def test_the_published_template_has_its_marks_as_single_tokens(published, ids):
    prompt = load_encoder(published).encode_prompt((Message(role="user", content="2+2?"),))
    assert [token for token in prompt if token in {ids[mark] for mark in SPECIAL}] == [
        ids["<|im_start|>"],
        ids["<|im_end|>"],
        ids["<|im_start|>"],
    ]


def test_an_opened_thought_is_not_opened_again(solved, encoder, settings, ids):
    asked = as_questions(solved[:1], text="<think>\nSo 2.\n</think>\n2")
    (question,) = encode_questions(asked, encoder, settings).questions
    assert question.demonstration is not None
    assert question.demonstration.count(ids["</think>"]) == 1
    assert ids["<think>"] not in question.demonstration
    assert encoder.decode(question.prompt + question.demonstration).endswith("<think>\nSo 2.\n</think>\n2")


def test_an_end_inside_a_solution_is_refused(solved, encoder, settings):
    with pytest.raises(DataError, match="holds the end-of-sequence token"):
        encode_questions(as_questions(solved[:1], text="So 2.<|endoftext|> And"), encoder, settings)


@pytest.fixture(scope="module")
def rows(questions: list[QuestionTokens]) -> list[AskedRow]:
    """The hybrid rows that Prefix-RFT asks for."""
    method = make_method(PrefixRftMethod(rollouts=2), 2048)
    return [row for row in asked_rows(method, questions, AT) if row.request.prefix_id >= 0]


def continuations(encoder: Encoder, rows: list[AskedRow]) -> list[list[int]]:
    """A plural and then the answer, one token for each letter: a policy is free to write so."""
    texts = [f"s, and so \\boxed{{{row.tokens.answer}}}" for row in rows]
    letters = [[token for letter in text for token in encoder.encode_response(letter)[:-1]] for text in texts]
    return [[*tokens, encoder.eos_id] for tokens in letters]


def test_prefixes_are_kept_to_the_token_where_text_would_merge_across_their_end(encoder, rows):
    rests = continuations(encoder, rows)
    responses = [[*row.request.prefix, *rest] for row, rest in zip(rows, rests, strict=True)]
    limit = max(map(len, responses)) + 1
    with make_grader(parse_grading()) as grader:
        graded = graded_rows(rows, responses, encoder=encoder, grader=grader, max_response=limit)
        again = [encoder.encode_response(encoder.decode(response)) for response in responses]
        broken = [
            i
            for i, row in enumerate(rows)
            if tuple(again[i][: len(row.request.prefix)]) != row.request.prefix
        ]
        assert len(broken) > COUNT // 10  # " number" and "s" would become " numbers"
        with pytest.raises(TrainingError, match="does not begin with the"):
            graded_rows(
                [rows[broken[0]]], [again[broken[0]]], encoder=encoder, grader=grader, max_response=limit
            )
    assert float(graded.batch.reward_B.mean()) > 0.95
    assert bool(graded.finished_B.all())


def parse_grading() -> Any:
    return parse(JsonlData, {"path": "x", "grading": {"extract": ["last_boxed"]}}).grading


def test_a_character_may_be_cut_in_two(encoder):
    """The bytes of one character stand in several tokens; a prefix may end between them."""
    response = encoder.encode_response("So ∯ is 2")
    cut = next(k for k in range(1, len(response)) if "\ufffd" in encoder.decode(response[:k]))
    prefix, rest = response[:cut], response[cut:]
    assert encoder.encode_response(encoder.decode(prefix))[:-1] != prefix
    assert encoder.decode([*prefix, *rest]) == "So ∯ is 2"


@pytest.mark.verl
@pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')")
def test_the_agent_loop_hands_over_these_very_tokens(encoder, rows):
    from prefix_rft.verl_backend.agent_loop import MethodAgentLoop

    rests = continuations(encoder, rows)
    sent: list[list[int]] = []

    class Server:
        async def generate(self, *, request_id: str, prompt_ids: list[int], sampling_params: Any) -> Any:
            sent.append(prompt_ids)
            return SimpleNamespace(token_ids=rests[len(sent) - 1], extra_fields={})

    rollout = SimpleNamespace(response_length=1 << 20, name="vllm")
    config = SimpleNamespace(config=SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=rollout)))
    loop = MethodAgentLoop(config, Server())
    for row, rest in zip(rows, rests, strict=True):
        task = Task.parse(rollout_task(row.tokens, [row.request], AT).dump()).dump()
        made = asyncio.run(loop.run({}, task=task, global_steps=4, session_id=0))
        assert sent[-1] == [*row.tokens.prompt, *row.request.prefix]
        assert made.prompt_ids == list(row.tokens.prompt)
        assert made.response_ids == [*row.request.prefix, *rest]
        assert np.sum(made.response_mask) == len(made.response_ids)
