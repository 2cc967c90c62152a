"""What preparing changes in a model's small files: pure, from what they say to what they shall say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefix_rft.models.families import Family, Positions
from prefix_rft.models.files import CHAT_TEMPLATE, CONFIG, GENERATION, TOKENIZER, read_json
from prefix_rft.models.templates import TEMPLATES, Template

_LIMITS = ("max_new_tokens", "max_length")
"""Entries of generation_config.json that some engines take as a limit of every response."""


@dataclass(frozen=True)
class Changed:
    """The files that differ from the source's."""

    texts: dict[str, str]
    """New content by file name."""
    values: dict[str, dict[str, list[Any]]]
    """For every changed file its changed entries: before, after (null: not there)."""


def changed_files(folder: Path, family: Family, template: Template) -> Changed:
    """New config.json, generation_config.json, tokenizer_config.json and chat template of a model.

    Raises:
        DataError: a file is missing or damaged, or the tokenizer has no end-of-sequence token, or no chat template
            that could be kept.
    """
    from prefix_rft.data.encode import load_encoder

    encoder = load_encoder(folder, "plain" if TEMPLATES[template] else "tokenizer")
    before = {name: read_json(folder / name) for name in (CONFIG, TOKENIZER)}
    generation = folder / GENERATION
    before[GENERATION] = read_json(generation) if generation.is_file() else {}
    after = {
        CONFIG: {**positioned(before[CONFIG], family.extended), "eos_token_id": encoder.eos_id},
        GENERATION: ended(before[GENERATION], encoder.eos_id, encoder.pad_id),
        TOKENIZER: prompted(before[TOKENIZER], family.extended, template),
    }
    texts = {
        name: json.dumps(after[name], indent=2, ensure_ascii=False) + "\n"
        for name in after
        if after[name] != before[name]
    }
    values = {name: difference(before[name], after[name]) for name in texts}
    prompt = TEMPLATES[template]
    if prompt is not None:
        texts[CHAT_TEMPLATE] = prompt
        values[CHAT_TEMPLATE] = {"template": [_kept(folder, before[TOKENIZER]), template]}
    return Changed(texts, values)


def positioned(config: Mapping[str, Any], extended: Positions | None) -> dict[str, Any]:
    """config.json with the longer context; rope_theta wherever the file states it, in the old layout or the new."""
    if extended is None:
        return dict(config)
    changed = {**config, "max_position_embeddings": extended.context}
    if config.get("rope_parameters"):
        changed["rope_parameters"] = {**config["rope_parameters"], "rope_theta": extended.rope_theta}
    if "rope_theta" in config or not config.get("rope_parameters"):
        changed["rope_theta"] = extended.rope_theta
    return changed


def ended(generation: Mapping[str, Any], eos_id: int, pad_id: int) -> dict[str, Any]:
    """generation_config.json that ends where demonstrations end, pads with a token there is, and limits no response."""
    kept = {key: value for key, value in generation.items() if key not in _LIMITS}
    return {**kept, "eos_token_id": eos_id, "pad_token_id": pad_id}


def prompted(tokenizer: Mapping[str, Any], extended: Positions | None, template: Template) -> dict[str, Any]:
    """tokenizer_config.json without a prompt that another file gives, and with a limit no shorter than the context."""
    changed = dict(tokenizer)
    if TEMPLATES[template] is not None:
        changed.pop("chat_template", None)
    limit = changed.get("model_max_length")
    if extended is not None and isinstance(limit, int) and limit < extended.context:
        changed["model_max_length"] = extended.context
    return changed


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Entries that differ, with their old and new value; a long text by its length."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {key: [_short(before.get(key)), _short(after.get(key))] for key in keys}


def _short(value: Any) -> Any:
    return f"a text of {len(value)} characters" if isinstance(value, str) and len(value) > 200 else value


def _kept(folder: Path, tokenizer: Mapping[str, Any]) -> str | None:
    """Where the source had its prompt."""
    if (folder / CHAT_TEMPLATE).is_file():
        return CHAT_TEMPLATE
    return TOKENIZER if tokenizer.get("chat_template") else None
