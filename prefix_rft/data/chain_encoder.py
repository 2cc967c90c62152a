"""The chain task's vocabulary, one token a character, also written as a Hugging Face fast tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import ascii_lowercase, digits

from prefix_rft.data.schema import Message
from prefix_rft.errors import DataError

_SPECIAL = ("<pad>", "<eos>")
_SIGNS = ("=", "#", "?", "+", "-")
_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@dataclass(frozen=True)
class ChainEncoder:
    """Encoder of the embedded task; needs neither transformers nor tokenizers unless it is saved."""

    modulus: int
    letters: int = 0
    """How many letters, from "a" on, the vocabulary has besides."""

    pad_id = 0
    eos_id = 1

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Tokens in the order of their ids: padding, end of sequence, signs, digits 0 to m - 1, letters."""
        return _SPECIAL + _SIGNS + tuple(digits[: self.modulus]) + tuple(ascii_lowercase[: self.letters])

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens: 7 + m + letters."""
        return len(self.vocabulary)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.vocabulary) if token not in _SPECIAL}

    def encode_text(self, text: str) -> list[int]:
        """Ids of a text's characters, nothing added.

        Raises:
            DataError: a character is not of the task.
        """
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise DataError(
                f"the chain vocabulary (m={self.modulus}) has no token for {error.args[0]!r}; it reads only "
                f"{' '.join(self._ids)}. Other questions need another model (model=scratch or "
                "model=pretrained)."
            ) from None

    def render(self, messages: Sequence[Message]) -> str:
        """The messages' text, nothing added."""
        return "".join(message.content for message in messages)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the rendered question."""
        return self.encode_text(self.render(messages))

    def encode_response(self, text: str) -> list[int]:
        """Ids of a response, end-of-sequence token included."""
        return [*self.encode_text(text), self.eos_id]

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode_response`, for several."""
        return [self.encode_response(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens dropped."""
        return "".join(self.vocabulary[index] for index in ids if index >= len(_SPECIAL))

    def save(self, folder: Path | str) -> None:
        """Write tokenizer.json and tokenizer_config.json, which `AutoTokenizer` reads to the same ids."""
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(self.vocabulary)}))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in _SPECIAL]
        )
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": _SPECIAL[self.pad_id],
            "eos_token": _SPECIAL[self.eos_id],
            "clean_up_tokenization_spaces": False,
            "chat_template": _TEMPLATE,
        }
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(target / "tokenizer.json"))
        (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> ChainEncoder | None:
        """The encoder that a folder's tokenizer.json holds, or None if it holds another tokenizer."""
        file = Path(folder) / "tokenizer.json"
        if not file.is_file():
            return None
        try:
            model = json.loads(file.read_text(encoding="utf-8"))["model"]
            vocabulary = model["vocab"]
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{file} is not a tokenizer file of the Hugging Face `tokenizers` library; save the model "
                "and its tokenizer again"
            ) from None
        if model.get("type") != "WordLevel" or len(vocabulary) <= len(_SPECIAL + _SIGNS):
            return None
        letters = sum(token in ascii_lowercase for token in vocabulary)
        encoder = cls(len(vocabulary) - len(_SPECIAL + _SIGNS) - letters, letters)
        same = tuple(sorted(vocabulary, key=vocabulary.__getitem__)) == encoder.vocabulary
        return encoder if same else None
