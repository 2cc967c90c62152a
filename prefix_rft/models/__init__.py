"""Pretrained models made ready for training: their context, their prompt, their ends."""

from prefix_rft.models.families import FAMILIES, Family, recognise
from prefix_rft.models.prepare import Prepared, Weights, prepare_model
from prefix_rft.models.ready import check_ready

__all__ = ["FAMILIES", "Family", "Prepared", "Weights", "check_ready", "prepare_model", "recognise"]
