"""The chain vocabulary, alone and as a Hugging Face tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.data import Message, load_encoder
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.errors import DataError

QUESTION = (Message(role="user", content="33-11?"),)


def test_eleven_tokens_at_four() -> None:
    encoder = ChainEncoder(4)
    assert encoder.vocabulary_size == 11
    assert encoder.encode_prompt(QUESTION) == [10, 10, 6, 8, 8, 4]
    assert encoder.encode_response("33-11=22#22") == [10, 10, 6, 8, 8, 2, 9, 9, 3, 9, 9, 1]


@given(st.text("0123+-=#?"))
def test_decoding_undoes_encoding_and_drops_special_tokens(text: str) -> None:
    encoder = ChainEncoder(4)
    ids = encoder.encode_response(text)
    assert ids[-1] == encoder.eos_id
    assert encoder.decode([*ids, encoder.pad_id]) == text


def test_transformers_reads_the_same_ids(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    encoder = ChainEncoder(4)
    encoder.save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path))
    text = "33-11=22+01=23#23"
    assert tokenizer(text).input_ids == encoder.encode_text(text)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (1, 0, 11)
    assert tokenizer.decode(encoder.encode_response(text), skip_special_tokens=True) == text
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "33-11?"}], add_generation_prompt=True, tokenize=False
    )
    assert rendered == encoder.render(QUESTION)


@pytest.mark.parametrize(("modulus", "letters"), [(2, 0), (4, 0), (10, 0), (4, 3), (10, 26)])
def test_saved_folder_loads_to_the_same_encoder(tmp_path: Path, modulus: int, letters: int) -> None:
    ChainEncoder(modulus, letters).save(tmp_path)
    assert load_encoder(tmp_path) == ChainEncoder(modulus, letters)


def test_letters_stand_behind_the_digits() -> None:
    encoder = ChainEncoder(4, 3)
    assert encoder.vocabulary_size == 14
    assert encoder.encode_response("33ac") == [10, 10, 11, 13, 1]
    with pytest.raises(DataError, match="no token for 'd'"):
        encoder.encode_text("d")


def test_character_outside_the_task_is_named() -> None:
    with pytest.raises(DataError, match="no token for '4'"):
        ChainEncoder(4).encode_prompt((Message(role="user", content="34-11?"),))


def test_other_word_level_tokenizer_is_not_taken_for_the_chain_one(tmp_path: Path) -> None:
    words = {f"word{index}": index for index in range(11)}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({"model": {"type": "WordLevel", "vocab": words}}))
    assert ChainEncoder.load(tmp_path) is None


def test_damaged_tokenizer_file_is_named(tmp_path: Path) -> None:
    ChainEncoder(4).save(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(DataError, match=r"tokenizer\.json is not a tokenizer file"):
        load_encoder(tmp_path)
