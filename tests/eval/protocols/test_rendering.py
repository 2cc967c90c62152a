"""Prompts: the text that a model reads, its ids in one piece, and what is graded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks import Problem
from eval.protocols import EvaluationProtocol, find, prompt, question
from prefix_rft.data import Message, load_encoder
from prefix_rft.data.encode import Encoder, Template
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.errors import DataError
from prefix_rft.models.templates import LUFFY, PLAIN

PROBLEM = Problem("aime24-7", "What is $\\{2\\} + {problem}$?", "2")
TEXTS = [
    "User: This is the problem:\nWhat is 2?\nAssistant: <think>\n",
    "Answer: Let's think step by step.",
] * 9
OWN_SYSTEM = (
    "{{- 'SYSTEM\\n' -}}{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
    "{{ message['content'] + '\\n' }}{%- endif -%}{%- endfor -%}"
)
"""A template that writes a system text of its own, whatever messages say."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    train_scratch_tokenizer(TEXTS, 300, made)
    return made


def encoder_with(
    folder: Path, to: Path, template: str, rendering: Template = "tokenizer", **config: Any
) -> Encoder:
    """The tokenizer with another chat template."""
    (to / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    written = json.loads((folder / "tokenizer_config.json").read_text())
    changed = {**written, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template, **config}
    (to / "tokenizer_config.json").write_text(json.dumps(changed))
    return load_encoder(to, rendering)


def test_luffys_prompt_is_appendix_c2(folder: Path, tmp_path: Path) -> None:
    protocol = find("luffy", "qwen2.5-math")
    encoder = encoder_with(folder, tmp_path, LUFFY)
    made = prompt(protocol, PROBLEM, encoder)
    asked = "User: This is the problem:\nWhat is $\\{2\\} + {problem}$?\n"
    assert made.text == f"{protocol.system}\n{asked}Assistant: <think>\n"
    assert made.ids == tuple(encoder.encode_prompt(made.messages))
    assert made.id == "aime24-7"
    assert [message.role for message in made.messages] == ["system", "user"]


@pytest.mark.parametrize("rendering", ["tokenizer", "plain"])
def test_the_start_is_added_once_and_tokenized_with_the_rest(
    folder: Path, tmp_path: Path, rendering: Template
) -> None:
    template = "{{ bos_token }}" + LUFFY.replace(" <think>\\n", "")
    encoder = encoder_with(folder, tmp_path, template, rendering, bos_token="<|pad|>")
    protocol = EvaluationProtocol(
        name="own", title="own", source="here", rendering=rendering, assistant_start=" <think>\n"
    )
    made = prompt(protocol, PROBLEM, encoder)
    assert made.text is not None
    assert made.ids is not None
    assert made.text.count(" <think>\n") == 1
    assert made.text.endswith(" <think>\n")
    assert encoder.decode(made.ids).endswith(made.text.removeprefix("<|pad|>"))
    joint = tuple(encoder.encode_response(made.text)[:-1])
    assert made.ids[len(made.ids) - len(joint) :] == joint
    assert len(made.ids) == len(joint) + (
        len(encoder.encode_prompt(made.messages))
        - len(encoder.encode_response(encoder.render(made.messages)))
        + 1
    )


def test_llamas_prompt_is_the_prepared_models_own(folder: Path, tmp_path: Path) -> None:
    """The rendered text of the plain protocol form equals the template that training gives such a model."""
    own = encoder_with(folder, tmp_path, PLAIN)
    (tmp_path / "plain").mkdir()
    encoder = encoder_with(folder, tmp_path / "plain", PLAIN, "plain")
    made = prompt(find("luffy", "llama"), PROBLEM, encoder)
    assert made.text == "User: What is $\\{2\\} + {problem}$?\nAnswer: Let's think step by step."
    assert made.text == own.render([Message(role="user", content=PROBLEM.problem)])


def test_a_system_text_that_the_template_writes_itself_is_not_sent_twice(
    folder: Path, tmp_path: Path
) -> None:
    protocol = EvaluationProtocol(name="own", title="own", source="here", system="SYSTEM")
    made = prompt(protocol, PROBLEM, encoder_with(folder, tmp_path, OWN_SYSTEM))
    assert made.text == "SYSTEM\nWhat is $\\{2\\} + {problem}$?\n"


def test_a_template_that_leaves_the_system_text_out_is_refused(folder: Path, tmp_path: Path) -> None:
    encoder = encoder_with(folder, tmp_path, PLAIN)
    with pytest.raises(DataError, match=r"leaves out the system text of protocol luffy.*family=llama"):
        prompt(find("luffy"), PROBLEM, encoder)


def test_an_encoder_for_another_rendering_is_refused(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"protocol plain renders prompts by 'plain', the encoder by 'tokenizer'"
    ):
        prompt(find("plain"), PROBLEM, load_encoder(folder))


def test_behind_an_endpoint_only_plain_text_is_known() -> None:
    made = prompt(find("luffy"), PROBLEM, None)
    assert (made.ids, made.text) == (None, None)
    assert [message.role for message in made.messages] == ["system", "user", "assistant"]
    assert made.messages[-1].content == "<think>\n", "the endpoint continues what the protocol begins"
    assert [message.role for message in prompt(find("prefix_rft"), PROBLEM, None).messages] == ["user"]
    made = prompt(find("luffy", "llama"), PROBLEM, None)
    assert made.ids is None
    assert made.text == "User: What is $\\{2\\} + {problem}$?\nAnswer: Let's think step by step."


def test_prefix_rft_asks_for_a_box_and_sends_no_system_text() -> None:
    asked = question(find("prefix_rft"), PROBLEM)
    assert (asked.id, asked.answer, asked.split) == ("aime24-7", "2", "test")
    (message,) = asked.messages
    assert message.content == (
        "What is $\\{2\\} + {problem}$?\nPlease reason step by step, and put your final answer within \\boxed{}"
    )
