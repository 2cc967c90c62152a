"""A byte-level BPE tokenizer trained on the data at hand, for trials of real data without a real model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefix_rft.data.schema import Question
from prefix_rft.errors import DataError

PAD, EOS = "<|pad|>", "<|eos|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SMALLEST = 256 + 2 + len(ROLES)
"""Every byte and the special tokens."""


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
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocabulary < SMALLEST:
        raise DataError(
            f"a vocabulary of {vocabulary} has no room for all bytes; it needs at least {SMALLEST}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, EOS, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(target / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "additional_special_tokens": list(ROLES),
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def training_texts(questions: Iterable[Question]) -> Iterator[str]:
    """What a data set offers to learn merges from: its messages and demonstrations."""
    for question in questions:
        for message in question.messages:
            yield message.content
        for demonstration in question.demonstrations:
            yield demonstration.text
