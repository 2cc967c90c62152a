"""Questions and demonstrations: one schema, every source, and their tokens."""

from prefix_rft.data.encode import EncodedQuestions, Encoder, SkippedQuestion, encode_questions, load_encoder
from prefix_rft.data.load import load
from prefix_rft.data.schema import BadRow, Dataset, Demonstration, Message, Question

__all__ = [
    "BadRow",
    "Dataset",
    "Demonstration",
    "EncodedQuestions",
    "Encoder",
    "Message",
    "Question",
    "SkippedQuestion",
    "encode_questions",
    "load",
    "load_encoder",
]
