"""Files of a model in the Hugging Face layout: read where they are, from a folder or the hub's cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefix_rft.errors import DataError

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
VOCABULARY = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Any of them holds the tokens; without one `transformers` makes an empty tokenizer and says nothing."""
SMALL = (
    CONFIG,
    GENERATION,
    TOKENIZER,
    CHAT_TEMPLATE,
    *VOCABULARY,
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "LICENSE*",
)
"""All that is read of a model beside its weights."""


def model_folder(source: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder of that name, or that of the files downloaded from the hub.

    Raises:
        DataError: there is neither.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(patterns)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"the model {source} is neither a folder here nor reachable on the hub ({type(error).__name__}). Check the "
            f"name; without a network run `hf download {source}` on a machine that has one, and give the folder"
        ) from error


def read_json(file: Path) -> dict[str, Any]:
    """An object in a JSON file.

    Raises:
        DataError: it is not there, not JSON, or not an object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{file} is not there: {file.parent} is no model in the Hugging Face layout"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); copy the model again") from None
    if not isinstance(content, dict):
        raise DataError(f"{file} holds no object; copy the model again")
    return content


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of the folder that match any of the patterns, by name."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
