"""TRL's step at real size: GRPOTrainer with the same rows, micro-batches, precision and optimizer."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from benchmarks.real_size_meter import Lap, Meter
from benchmarks.real_size_ours import _WARM_UP_TOKENS, cost
from benchmarks.real_size_work import Cost, Work, prompt_ids, response_ids, reward, word
from benchmarks.trl_peer import SAME_STEP


def play(work: Work) -> list[Cost]:
    """See `benchmarks.real_size_work.Play`."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "WANDB_MODE": "disabled",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }  # fmt: skip
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, PrinterCallback
    from transformers.utils import logging
    from trl import GRPOTrainer

    logging.disable_progress_bar()
    clock = _Clock(work)
    prompts = [" ".join(map(word, prompt_ids(work, q))) for q in range(work.size.questions)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32).to(work.device),
            processing_class=PreTrainedTokenizerFast.from_pretrained(work.model, padding_side="left"),
            reward_funcs=clock.rewards,
            args=_settings(work, folder),
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
            rollout_func=clock.given if work.size.given else None,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(clock.callback())
        trainer.train()
    return clock.costs[1:]


class _Clock:
    """Laps of TRL's step, taken where it calls: at its begin and end, and for the rewards in between."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.costs: list[Cost] = []
        self.meter = Meter(work.device)
        self.written: Lap | None = None

    def rewards(self, completions: list[str], **_: Any) -> list[float]:
        """The stated rewards; the responses are written by now."""
        self.written = None if self.work.size.given else self.meter.lap()
        return [reward(row) for row in range(len(completions))]

    def given(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """The given responses, in place of generation; all but the first step's are of full length."""
        size, length = self.work.size, self.work.size.response if self.costs else _WARM_UP_TOKENS
        rows = range(len(prompts))
        return {
            "prompt_ids": [prompt_ids(self.work, row // size.rollouts) for row in rows],
            "completion_ids": [response_ids(self.work, row)[:length] for row in rows],
            "logprobs": None,
        }

    def callback(self) -> Any:
        """What the trainer tells of a step's begin and end."""
        from transformers import TrainerCallback

        clock = self

        class Laps(TrainerCallback):  # type: ignore[misc]
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
                clock.meter = Meter(clock.work.device)
                return control

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
                clock.costs.append(cost(clock.written, clock.meter.lap()))
                return control

        return Laps()


def _settings(work: Work, folder: str) -> Any:
    from trl import GRPOConfig

    size = work.size
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=size.micro_rows,
        gradient_accumulation_steps=size.rows // size.micro_rows,
        num_generations=size.rollouts,
        max_completion_length=size.response,
        **SAME_STEP,
        learning_rate=work.learning_rate,
        max_steps=1 + work.steps,
        shuffle_dataset=False,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=work.device == "cpu",
        bf16=work.dtype == "bfloat16",
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
