"""A byte-level BPE tokenizer trained on the data at hand, for trials of real data without a real model.

It is a `Qwen2Tokenizer` in every part. Beside a config.json of that family `transformers` loads nothing else: of any
other tokenizer it would keep the merges, and read texts in another way than the merges were learnt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prefix_rft.data.schema import Question
from prefix_rft.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, EOS, UNKNOWN = "<|pad|>", "<|eos|>", "<|endoftext|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SPECIAL = (PAD, EOS, UNKNOWN, *ROLES)
SMALLEST = 256 + len(SPECIAL)
"""Every byte and the special tokens."""
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""Pieces that merges stay within (`transformers`, models/qwen2/tokenization_qwen2.py); every digit is one."""


def train_scratch_tokenizer(texts: Iterable[str], vocabulary: int, folder: Path | str) -> None:
    """Train the tokenizer and write it as a Hugging Face folder with a chat template.

    The same texts in the same order give the same file. It has fewer entries than asked for where the texts
    offer no more pairs to merge.

    Args:
        texts: what to learn merges from.
        vocabulary: most entries, bytes and special tokens included.
        folder: gets tokenizer.json and tokenizer_config.json.

    Raises:
        DataError: `vocabulary` has no room for the bytes and the special tokens.
    """
    if vocabulary < SMALLEST:
        raise DataError(
            f"a vocabulary of {vocabulary} has no room for all bytes; it needs at least {SMALLEST}"
        )
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    _trained(texts, vocabulary).save(str(target / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "pad_token": PAD,
        "eos_token": EOS,
        "unk_token": UNKNOWN,
        "additional_special_tokens": list(ROLES),
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _trained(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def training_texts(questions: Iterable[Question]) -> Iterator[str]:
    """What a data set offers to learn merges from: its messages and demonstrations."""
    for question in questions:
        for message in question.messages:
            yield message.content
        for demonstration in question.demonstrations:
            yield demonstration.text
