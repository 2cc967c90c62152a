"""Evaluation protocols: how a problem is put, sampled and graded, as named, typed objects with their sources."""

from eval.protocols.catalogue import PROTOCOLS, find
from eval.protocols.rendering import prompt, question
from eval.protocols.schema import EvaluationProtocol, Family, FamilyForm, PromptForm, family_of

__all__ = [
    "PROTOCOLS",
    "EvaluationProtocol",
    "Family",
    "FamilyForm",
    "PromptForm",
    "family_of",
    "find",
    "prompt",
    "question",
]
