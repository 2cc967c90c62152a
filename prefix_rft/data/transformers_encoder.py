"""Any tokenizer that `transformers` loads; the library is imported when one is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prefix_rft.data.schema import Message
from prefix_rft.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TransformersEncoder:
    """A Hugging Face tokenizer with its chat template, or with plain text."""

    tokenizer: PreTrainedTokenizerBase
    template: Literal["tokenizer", "plain"]
    eos_id: int
    pad_id: int
    start: tuple[int, ...]
    """What the tokenizer itself puts before every text: its beginning-of-sequence token, if any."""

    @classmethod
    def load(
        cls,
        folder_or_name: Path | str,
        template: Literal["tokenizer", "plain"],
        revision: str | None,
        trust: bool,
    ) -> TransformersEncoder:
        """See `load_encoder`."""
        from transformers import AutoTokenizer

        name = str(folder_or_name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                name, revision=revision or "main", trust_remote_code=trust, use_fast=True
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise DataError(_not_loaded(name, revision, error)) from error
        return cls.wrap(tokenizer, template, name)

    @classmethod
    def wrap(
        cls, tokenizer: PreTrainedTokenizerBase, template: Literal["tokenizer", "plain"], name: str
    ) -> TransformersEncoder:
        """The encoder of a tokenizer that is already loaded.

        Raises:
            DataError: it has no end-of-sequence token, or no chat template where one is asked for.
        """
        eos = tokenizer.eos_token_id
        if not isinstance(eos, int):
            raise DataError(
                f"the tokenizer of {name} has no end-of-sequence token, so that no response could end; set "
                "eos_token in its tokenizer_config.json"
            )
        if template == "tokenizer" and not tokenizer.chat_template:
            raise DataError(
                f"the tokenizer of {name} has no chat template; set model.template=plain to join the "
                "messages' text by new lines, or put a chat_template into its tokenizer_config.json"
            )
        pad = tokenizer.pad_token_id
        bare = tokenizer("", add_special_tokens=True).input_ids
        start = tuple(bare[:1]) if bare[:1] == [tokenizer.bos_token_id] else ()
        return cls(tokenizer, template, eos, pad if isinstance(pad, int) else eos, start)

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id of the tokenizer; a model's embedding may have more rows."""
        return int(max(self.tokenizer.get_vocab().values())) + 1

    def render(self, messages: Sequence[Message]) -> str:
        """The chat template with its generation prompt, or the plain text.

        Raises:
            DataError: the template does what no template may (it runs in a sandbox), or cannot be rendered.
        """
        if self.template == "plain":
            return "\n".join(message.content for message in messages)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
        except TemplateError as error:
            raise DataError(
                f"the chat template of {self.tokenizer.name_or_path} cannot be rendered: {error}. Mend it in its "
                "tokenizer_config.json, or set model.template=plain"
            ) from None

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the rendered question; a chat template has special tokens, plain text gets `start`."""
        ids = self._ids([self.render(messages)])[0]
        return [*self.start, *ids] if self.template == "plain" else ids

    def encode_response(self, text: str) -> list[int]:
        """Ids of a response, end-of-sequence token included."""
        return self.encode_responses([text])[0]

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode_response` for several texts at once."""
        return [[*ids, self.eos_id] for ids in self._ids(texts)] if texts else []

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            truncation=False,
            verbose=False,
        )
        return [list(ids) for ids in encoded.input_ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens dropped and spaces left as they are."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def save(self, folder: Path | str) -> None:
        """Write the tokenizer's files."""
        self.tokenizer.save_pretrained(str(folder))


def _not_loaded(name: str, revision: str | None, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if Path(name).is_dir():
        files = ", ".join(sorted(item.name for item in Path(name).iterdir())) or "nothing"
        return (
            f"the folder {name} holds no tokenizer that transformers can load ({reason}). It holds {files}; "
            "a tokenizer.json and a tokenizer_config.json are needed."
        )
    at = f" at {revision}" if revision else ""
    return (
        f"the tokenizer {name}{at} cannot be had: {reason} It is neither a folder here nor, as far as can be "
        "seen, a model on the hub. Check the name; without a network give the folder of a downloaded model."
    )
