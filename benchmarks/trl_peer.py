"""TRL's rollout steps: GRPOTrainer with the dr_grpo loss on the same model, questions and budget."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from benchmarks.steps import Clock, Turns, Work


def play(work: Work, turns: Turns) -> None:
    """Train until there are no more turns."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "WANDB_MODE": "disabled"}
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from transformers.utils import logging
    from trl import GRPOTrainer

    from benchmarks.task import chain
    from prefix_rft import data
    from prefix_rft.grading import make_grader

    logging.disable_progress_bar()
    settings = chain(work.max_new)
    questions = data.load(settings).train
    rows = [{"prompt": q.messages[0].content, "answer": q.answer} for q in questions]
    sampled: list[int] = []
    with make_grader(settings.grading) as grader, tempfile.TemporaryDirectory() as folder:

        def reward(
            completions: list[str], completion_ids: list[list[int]], answer: list[str], **_: Any
        ) -> list[float]:
            sampled.append(sum(map(len, completion_ids)))
            return [
                float(grade.correct) for grade in grader.grade(list(zip(answer, completions, strict=True)))
            ]

        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(work.model),
            processing_class=AutoTokenizer.from_pretrained(work.model, padding_side="left"),
            reward_funcs=reward,
            args=_settings(work, folder),
            train_dataset=Dataset.from_list(rows),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_turn_taker(turns, sampled))
        trainer.train()


SAME_STEP: dict[str, Any] = {
    "loss_type": "dr_grpo", "scale_rewards": False, "beta": 0.0, "epsilon": 0.2,
    "lr_scheduler_type": "constant", "optim": "adamw_torch_fused", "max_grad_norm": 1.0,
    "temperature": 1.0, "top_k": 0, "top_p": 1.0,
}  # fmt: skip
"""What TRL is told so that its step is ours: plain RFT (Dr.GRPO), no KL term, plain sampling."""


def _settings(work: Work, folder: str) -> Any:
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=work.questions * work.rollouts,
        gradient_accumulation_steps=1,
        num_generations=work.rollouts,
        max_completion_length=work.max_new,
        **SAME_STEP,
        learning_rate=work.learning_rate,
        adam_beta2=0.99,
        max_steps=1_000_000,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )


def _turn_taker(turns: Turns, sampled: list[int]) -> Any:
    """Holds the trainer before every step until its turn, and ends it when there are no more."""
    from transformers import TrainerCallback

    class TurnTaker(TrainerCallback):  # type: ignore[misc]
        clock: Clock | None = None

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            self.clock = Clock() if turns.wait() else None
            return control

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if self.clock is None:
                control.should_training_stop = True
            else:
                turns.done(self.clock.cost(sampled[-1]))
            return control

    return TurnTaker()
