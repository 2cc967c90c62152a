"""Hugging Face tokenizers: one trained on the spot, and what is wrong with others."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.data import Encoder, Message, Question, load_encoder
from prefix_rft.data.scratch import train_scratch_tokenizer, training_texts
from prefix_rft.errors import DataError

TEXTS = [
    f"Ann has {index} apples and buys {index + 1} more. So she has \\boxed{{{2 * index + 1}}}.\n"
    for index in range(50)
]
MESSAGES = (Message(role="system", content="Box it."), Message(role="user", content="2+2?"))
BEGIN, END = "<|begin|>", "<|eos|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    train_scratch_tokenizer(TEXTS, 290, made)
    return made


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(folder)


def changed(folder: Path, to: Path, **config: object) -> Path:
    """A copy with other entries in its configuration, of a class without defaults; None takes an entry out."""
    to.mkdir(exist_ok=True)
    (to / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    written = json.loads((folder / "tokenizer_config.json").read_text())
    whole = {**written, "tokenizer_class": "PreTrainedTokenizerFast", **config}
    kept = {key: value for key, value in whole.items() if value is not None}
    (to / "tokenizer_config.json").write_text(json.dumps(kept))
    return to


def test_vocabulary_is_as_large_as_asked_and_learns_the_texts(encoder: Encoder) -> None:
    assert encoder.vocabulary_size == 290
    assert (encoder.pad_id, encoder.eos_id) == (0, 1)
    assert len(encoder.encode_response(" apples and")) < len(" apples and") / 2


def test_training_twice_gives_the_same_file(folder: Path, tmp_path: Path) -> None:
    train_scratch_tokenizer(TEXTS, 290, tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_in_unicodes_composed_form(encoder: Encoder, text: str) -> None:
    ids = encoder.encode_response(text)
    assert ids[-1] == encoder.eos_id
    assert encoder.decode(ids) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_beside_a_models_configuration_it_is_the_same_tokenizer(
    folder: Path, tmp_path: Path, family: str
) -> None:
    from transformers import PreTrainedTokenizerFast

    beside = changed(folder, tmp_path, tokenizer_class="Qwen2Tokenizer")
    (beside / "config.json").write_text(json.dumps({"model_type": family}))
    as_written = PreTrainedTokenizerFast.from_pretrained(folder)
    found = load_encoder(beside)
    assert found.vocabulary_size == len(as_written) == 290
    assert (found.pad_id, found.eos_id) == (0, 1)
    for text in [*TEXTS[:5], "It's 1,234.5  \n\n\\frac{1}{2} cafe\u0301 x<|user|>"]:
        assert found.encode_response(text)[:-1] == as_written(text).input_ids


def test_several_responses_are_encoded_as_one_by_one(encoder: Encoder) -> None:
    assert encoder.encode_responses(TEXTS) == [encoder.encode_response(text) for text in TEXTS]
    assert encoder.encode_responses([]) == []


def test_chat_template_ends_where_the_assistant_begins(encoder: Encoder) -> None:
    assert encoder.render(MESSAGES) == "<|system|>\nBox it.\n<|user|>\n2+2?\n<|assistant|>\n"
    ids = encoder.encode_prompt(MESSAGES)
    assert ids[0] == 3, "a role's mark is one token"
    assert encoder.eos_id not in ids


def test_plain_template_joins_the_texts(folder: Path, encoder: Encoder) -> None:
    plain = load_encoder(folder, "plain")
    assert plain.render(MESSAGES) == "Box it.\n2+2?"
    assert plain.encode_prompt(MESSAGES) == encoder.encode_response("Box it.\n2+2?")[:-1]


def test_plain_prompt_starts_with_what_the_tokenizer_puts_first(folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([BEGIN])
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, begin), (END, 1)]
    )
    changed(folder, tmp_path, bos_token=BEGIN)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    plain, templated = load_encoder(tmp_path, "plain"), load_encoder(tmp_path)
    assert plain.encode_prompt(MESSAGES)[0] == begin
    assert plain.eos_id not in plain.encode_prompt(MESSAGES)
    assert begin not in templated.encode_prompt(MESSAGES)
    assert plain.encode_response("x") == templated.encode_response("x")
    assert begin not in plain.encode_response("x")


def test_saved_encoder_loads_to_the_same_ids(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    again = load_encoder(tmp_path)
    assert again.encode_prompt(MESSAGES) == encoder.encode_prompt(MESSAGES)
    assert again.encode_responses(TEXTS) == encoder.encode_responses(TEXTS)


def test_padding_falls_back_on_the_end_of_sequence(folder: Path, tmp_path: Path) -> None:
    assert load_encoder(changed(folder, tmp_path, pad_token=None)).pad_id == 1


def test_missing_chat_template_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    bare = changed(folder, tmp_path, chat_template=None)
    with pytest.raises(DataError, match=r"has no chat template; set model\.template=plain"):
        load_encoder(bare)
    assert load_encoder(bare, "plain").render(MESSAGES) == "Box it.\n2+2?"


def test_missing_end_of_sequence_token_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no end-of-sequence token"):
        load_encoder(changed(folder, tmp_path, eos_token=None))


def test_folder_without_a_tokenizer_lists_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds no tokenizer .* It holds config\.json"):
        load_encoder(tmp_path)


def test_vocabulary_without_room_for_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs at least 262"):
        train_scratch_tokenizer(TEXTS, 200, tmp_path)


def test_training_texts_are_messages_and_demonstrations() -> None:
    question = Question.model_validate(
        {"id": "q", "messages": MESSAGES, "answer": "4", "demonstrations": ({"text": "Four."},)}
    )
    assert list(training_texts([question])) == ["Box it.", "2+2?", "Four."]
