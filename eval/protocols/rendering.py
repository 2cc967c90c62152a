"""From a problem to a prompt under a protocol, and to the question that is graded."""

from __future__ import annotations

from collections.abc import Sequence

from eval.benchmarks.schema import Problem
from eval.prompts import Prompt
from eval.protocols.schema import EvaluationProtocol
from prefix_rft.data.encode import Encoder
from prefix_rft.data.schema import Message, Question
from prefix_rft.data.transformers_encoder import TransformersEncoder
from prefix_rft.errors import DataError


def question(protocol: EvaluationProtocol, problem: Problem) -> Question:
    """What is asked and graded; a protocol's messages are part of the content that its scores name."""
    user = Message(role="user", content=protocol.user.replace("{problem}", problem.problem))
    system = () if protocol.system is None else (Message(role="system", content=protocol.system),)
    return Question(id=problem.id, messages=(*system, user), answer=problem.answer, split="test")


def prompt(protocol: EvaluationProtocol, problem: Problem, encoder: Encoder | None) -> Prompt:
    """The problem as a sampler gets it.

    Args:
        protocol: as it asks the model's family (`EvaluationProtocol.for_family`).
        problem: what is asked.
        encoder: the model's, loaded with `template=protocol.rendering`. None where the model is behind an endpoint:
            the text is then known for plain rendering only, and otherwise the endpoint renders the messages, of which
            the last is the assistant's where the protocol begins the response.

    Raises:
        DataError: the encoder renders in another way, or its template leaves the system text out.
    """
    messages = question(protocol, problem).messages
    if encoder is None:
        plain = protocol.rendering == "plain"
        joined = "\n".join(message.content for message in messages)
        return Prompt(
            problem.id, None, _opened(joined, protocol) if plain else None, (*messages, *_begun(protocol))
        )
    _must_render_alike(protocol, encoder)
    sent = _sent(protocol, messages, encoder)
    rendered = encoder.render(sent)
    text = _opened(rendered, protocol)
    return Prompt(problem.id, _ids(encoder, sent, rendered, text), text, messages)


def _begun(protocol: EvaluationProtocol) -> tuple[Message, ...]:
    """The start of the response as a message that the endpoint is to continue."""
    start = protocol.assistant_start
    return (Message(role="assistant", content=start),) if start else ()


def _opened(rendered: str, protocol: EvaluationProtocol) -> str:
    start = protocol.assistant_start
    return rendered if rendered.endswith(start) else rendered + start


def _sent(
    protocol: EvaluationProtocol, messages: tuple[Message, ...], encoder: Encoder
) -> tuple[Message, ...]:
    """The messages without a system message that the tokenizer's template writes by itself.

    Raises:
        DataError: the system text does not get into the prompt.
    """
    if protocol.system is None:
        return messages
    if protocol.system in encoder.render(messages[1:]):
        return messages[1:]
    if protocol.system not in encoder.render(messages):
        raise DataError(
            f"the tokenizer's chat template leaves out the system text of protocol {protocol.name}. Choose a protocol "
            "without one (prefix_rft, plain), a model family with another prompt (family=llama), or mend the template."
        )
    return messages


def _ids(encoder: Encoder, sent: Sequence[Message], rendered: str, text: str) -> tuple[int, ...]:
    """Ids of the whole text, tokenized in one piece after what the tokenizer itself puts before every prompt."""
    prompt_ids = encoder.encode_prompt(sent)
    if text == rendered:
        return tuple(prompt_ids)
    inner = len(encoder.encode_response(rendered)) - 1
    return (*prompt_ids[: len(prompt_ids) - inner], *encoder.encode_response(text)[:-1])


def _must_render_alike(protocol: EvaluationProtocol, encoder: Encoder) -> None:
    """Refuse an encoder that was loaded for another rendering."""
    if isinstance(encoder, TransformersEncoder) and encoder.template != protocol.rendering:
        raise DataError(
            f"protocol {protocol.name} renders prompts by {protocol.rendering!r}, the encoder by {encoder.template!r}; "
            "load it with load_encoder(..., template=protocol.rendering)"
        )
