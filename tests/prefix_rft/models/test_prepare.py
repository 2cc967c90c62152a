"""A prepared model: what it reads, how it asks, where it ends, and what was written down."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefix_rft.data import Message, load_encoder
from prefix_rft.errors import DataError
from prefix_rft.local.policy import load_policy
from prefix_rft.models import prepare_model
from prefix_rft.models.prepare import RECORD
from prefix_rft.runs.content import folder_digest
from prefix_rft.settings import LocalBackend

MakeModel = Callable[..., Path]
Edit = Callable[..., None]
EOS, PAD = 1, 0
"""Ids of the tokenizer; the published model's own files say 7."""
QUESTION = Message(role="user", content="What is 2 + 2?")
SYSTEM = Message(role="system", content="Think first.")


def logits(folder: Path, length: int) -> torch.Tensor:
    """Of the last of `length` different tokens, by transformers."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(20, 20 + length)[None]).logits[0, -1]
    return found


def test_rotation_follows_the_new_base(published: MakeModel, edit: Edit, tmp_path: Path) -> None:
    """Frequencies are 40000^(-2i/d), d = 8; at position 0 nothing is turned, so one token has the logits it had."""
    from transformers import AutoModelForCausalLM

    source = published()
    prepare_model(str(source), tmp_path / "longer")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "longer")
    by_hand = torch.tensor([1.0, 40000**-0.25, 40000**-0.5, 40000**-0.75])
    torch.testing.assert_close(model.model.rotary_emb.inv_freq, by_hand)
    torch.testing.assert_close(logits(tmp_path / "longer", 1), logits(source, 1))
    assert not torch.allclose(logits(tmp_path / "longer", 40), logits(source, 40), atol=1e-4)
    edit(source / "config.json", rope_theta=40000.0)
    torch.testing.assert_close(logits(tmp_path / "longer", 40), logits(source, 40))


@pytest.mark.parametrize("path", ["on", "off"])
def test_sequences_beyond_the_old_context_are_read(published: MakeModel, tmp_path: Path, path: str) -> None:
    source = published()
    prepare_model(str(source), tmp_path / "longer")
    backend = LocalBackend.model_validate({"fast_path": path})
    policy = load_policy(tmp_path / "longer", backend)
    assert (load_policy(source, backend).context_length, policy.context_length) == (4096, 16384)
    ids_BL = torch.arange(4200)[None] % 280
    logp_BT, _ = policy.logprobs(ids_BL, torch.tensor([4198]), torch.tensor([2]), with_entropy=False)
    assert logp_BT.shape == (1, 2)
    assert bool(logp_BT.isfinite().all())


def test_weights_are_the_same_bytes_copied_or_linked(published: MakeModel, tmp_path: Path) -> None:
    source = published() / "model.safetensors"
    for kind in ("copy", "link"):
        prepare_model(str(source.parent), tmp_path / kind, weights=kind)
        made = tmp_path / kind / "model.safetensors"
        assert made.is_symlink() == (kind == "link")
        assert made.read_bytes() == source.read_bytes()
    assert not (tmp_path / "copy" / "model.safetensors").samefile(source)


def test_luffys_prompt_opens_the_thought(published: MakeModel, tmp_path: Path) -> None:
    prepare_model(str(published()), tmp_path / "m")
    encoder = load_encoder(tmp_path / "m")
    assert encoder.render([SYSTEM, QUESTION]) == (
        "Think first.\nUser: This is the problem:\nWhat is 2 + 2?\nAssistant: <think>\n"
    )
    again = Message(role="assistant", content="It is 4.")
    assert encoder.render([QUESTION, again, QUESTION]).startswith(
        "User: This is the problem:\nWhat is 2 + 2?\nAssistant: It is 4.<|eos|>\nUser: "
    )


def test_the_plain_prompt_has_no_system_text(published: MakeModel, tmp_path: Path) -> None:
    prepare_model(str(published()), tmp_path / "m", template="plain")
    rendered = load_encoder(tmp_path / "m").render([SYSTEM, QUESTION])
    assert rendered == "User: What is 2 + 2?\nAnswer: Let's think step by step."


def test_the_plain_prompt_begins_where_the_tokenizer_begins(
    published: MakeModel, edit: Edit, tmp_path: Path
) -> None:
    source = published()
    edit(source / "tokenizer_config.json", bos_token="<|endoftext|>")
    prepare_model(str(source), tmp_path / "m", template="plain")
    encoder = load_encoder(tmp_path / "m")
    ids = encoder.encode_prompt([QUESTION])
    assert ids.count(2) == 1
    assert ids[0] == 2, "the token of <|endoftext|>, once"


def test_the_tokenizers_own_prompt_is_kept_on_request(
    published: MakeModel, edit: Edit, tmp_path: Path
) -> None:
    source = published()
    prepare_model(str(source), tmp_path / "m", template="keep")
    assert load_encoder(tmp_path / "m").render([QUESTION]) == load_encoder(source).render([QUESTION])
    edit(source / "tokenizer_config.json", chat_template=None)
    with pytest.raises(DataError, match="no chat template"):
        prepare_model(str(source), tmp_path / "other", template="keep")


def test_tokens_are_those_of_the_source(published: MakeModel, tmp_path: Path) -> None:
    source = published()
    prepare_model(str(source), tmp_path / "m")
    text = "What is 2 + 2?\n\\boxed{4} é<|eos|>"
    assert load_encoder(tmp_path / "m").encode_response(text) == load_encoder(source).encode_response(text)


def test_every_change_is_written_down(published: MakeModel, tmp_path: Path) -> None:
    done = prepare_model(str(published()), tmp_path / "m")
    record = json.loads((tmp_path / "m" / RECORD).read_text())
    assert record["asked"]["changes"] == done.changes
    assert done.changes == {
        "config.json": {
            "max_position_embeddings": [4096, 16384],
            "rope_theta": [10000.0, 40000.0],
            "eos_token_id": [7, EOS],
        },
        "generation_config.json": {
            "eos_token_id": [7, EOS],
            "pad_token_id": [7, PAD],
            "max_new_tokens": [2048, None],
        },
        "tokenizer_config.json": {"chat_template": done.changes["tokenizer_config.json"]["chat_template"]},
        "chat_template.jinja": {"template": ["tokenizer_config.json", "luffy"]},
    }
    assert record["source"]["sha256"] == done.source_digest
    assert sorted(record["source"]["files"]) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_run_is_named_by_the_model_and_not_by_where_it_came_from(
    published: MakeModel, tmp_path: Path
) -> None:
    source = published()
    moved = shutil.copytree(source, tmp_path / "moved")
    prepare_model(str(source), tmp_path / "a")
    prepare_model(str(moved), tmp_path / "b")
    assert folder_digest(str(tmp_path / "a")) == folder_digest(str(tmp_path / "b"))


def test_preparing_again_changes_nothing(published: MakeModel, tmp_path: Path) -> None:
    source = published()
    first = prepare_model(str(source), tmp_path / "m")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "m").rglob("*")}
    again = prepare_model(str(source), tmp_path / "m")
    assert (first.fresh, again.fresh, again.source_digest) == (True, False, first.source_digest)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "m").rglob("*")} == before


def test_another_folder_is_never_overwritten(published: MakeModel, tmp_path: Path) -> None:
    source = published()
    prepare_model(str(source), tmp_path / "m")
    with pytest.raises(DataError, match="in another way"):
        prepare_model(str(source), tmp_path / "m", template="plain")
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="not made by this command"):
        prepare_model(str(source), tmp_path / "mine")


def test_a_prepared_model_is_not_extended_twice(published: MakeModel, tmp_path: Path) -> None:
    prepare_model(str(published()), tmp_path / "once")
    with pytest.raises(DataError, match="extended already"):
        prepare_model(str(tmp_path / "once"), tmp_path / "twice")


def test_files_of_newer_transformers_are_extended_too(published: MakeModel, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source, saved = published(), tmp_path / "saved"
    AutoModelForCausalLM.from_pretrained(source).save_pretrained(saved)
    AutoTokenizer.from_pretrained(source).save_pretrained(saved)
    assert "rope_theta" not in json.loads((saved / "config.json").read_text())
    prepare_model(str(saved), tmp_path / "m")
    config = AutoConfig.from_pretrained(tmp_path / "m")
    assert config.max_position_embeddings == 16384
    assert config.rope_parameters["rope_theta"] == 40000.0
    assert load_encoder(tmp_path / "m").render([QUESTION]).endswith("Assistant: <think>\n")


def test_a_failed_write_leaves_nothing(
    published: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prefix_rft.models.prepare.move_into_place", full)
    source = published()
    with pytest.raises(DataError, match="No space left on device"):
        prepare_model(str(source), tmp_path / "m")
    assert sorted(item.name for item in tmp_path.iterdir()) == [source.name]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is no model in the Hugging Face layout"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights in safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
    ],
    ids=["no config", "damaged config", "no weights", "no tokenizer"],
)
def test_an_incomplete_model_is_refused(
    published: MakeModel, tmp_path: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    source = published()
    damage(source)
    with pytest.raises(DataError, match=reason):
        prepare_model(str(source), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_model_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="hf download nobody/nothing"):
        prepare_model("nobody/nothing", tmp_path / "m")
