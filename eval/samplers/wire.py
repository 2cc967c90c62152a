"""What is said on the wire to a server like OpenAI's: the body of a request, and a response read from a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eval.sampler import Decoding, Response, SamplingError
from eval.samplers.exchange import PassingError
from prefix_rft.errors import SettingsError

if TYPE_CHECKING:
    from eval.prompts import Prompt
    from eval.samplers.settings import EndpointSampling

SEED_BITS = 63
"""Engines and servers take signed 64-bit seeds; the lowest bits of a sample's key are its seed."""

OPEN_SERVERS = ("vllm", "sglang")
"""Servers that take decoding settings beyond OpenAI's, and fill in the model's own where none are sent."""
NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Sent to those, since the model's generation_config.json would otherwise change the protocol's decoding unseen."""


Body = dict[str, Any]
"""JSON of a request or reply."""


def seed_of(key: int) -> int:
    """The seed of a sample's 64-bit key, for engines and servers that take signed ones."""
    return key & ((1 << SEED_BITS) - 1)


def request(
    prompt: Prompt, key: int, decoding: Decoding, settings: EndpointSampling, model: str, *, open_server: bool
) -> tuple[str, Body]:
    """Path and body that ask for one sample.

    Raises:
        SettingsError: the prompt lacks the form that is to be sent.
    """
    body: Body = {
        "model": model,
        "max_tokens": decoding.max_new,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        **({"seed": seed_of(key)} if settings.seeds else {}),
        **(NEUTRAL if open_server else {}),
        **settings.body,
    }
    if settings.api == "chat":
        return "/chat/completions", {**body, **_conversation(prompt, open_server=open_server)}
    return "/completions", {**body, "prompt": _text(prompt, settings)}


def _text(prompt: Prompt, settings: EndpointSampling) -> str | list[int]:
    if settings.prompt == "text":
        if prompt.text is None:
            raise SettingsError(
                f"question {prompt.id!r} has no rendered text; use sampler.prompt=ids or api=chat"
            )
        return prompt.text
    if prompt.ids is None:
        raise SettingsError(
            f"question {prompt.id!r} has no token ids; use sampler.prompt=text, sampler.api=chat, or give the model's "
            "folder or hub name so that its tokenizer is at hand"
        )
    return list(prompt.ids)


def _conversation(prompt: Prompt, *, open_server: bool) -> Body:
    """The messages; a last one of the assistant is the start of its response, which is to be continued."""
    if not prompt.messages:
        raise SettingsError(f"question {prompt.id!r} has no messages; use sampler.api=completions")
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    if messages[-1]["role"] != "assistant":
        return {"messages": messages}
    if not open_server:
        raise SettingsError(
            "the protocol starts the response itself, which chat can only do on vLLM and SGLang; "
            "use sampler.api=completions"
        )
    return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def read_response(body: Body, model: str, api: str) -> Response:
    """The response of a reply.

    Raises:
        PassingError: something is missing or of another type; another try may bring it.
        SamplingError: another model answered, or the server cut the thoughts out of the response.
    """
    _must_be_of(body.get("model"), model)
    choice = _only_choice(body)
    text = _chat_text(choice) if api == "chat" else choice.get("text")
    if not isinstance(text, str):
        raise PassingError(f"a reply without text: {str(choice)[:200]}")
    reason = choice.get("finish_reason")
    if reason not in ("stop", "length"):
        raise PassingError(f"a response that ended for the reason {reason!r}, neither 'stop' nor 'length'")
    usage = body.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise PassingError(f"a reply that does not count its tokens (usage: {usage!r})")
    return Response(_storable(text), tokens, reason == "stop")


def _must_be_of(named: object, model: str) -> None:
    """Providers may answer with the dated name of the model that was asked for."""
    if isinstance(named, str) and named != model and not named.startswith(f"{model}-"):
        raise SamplingError(
            f"asked for model {model!r}, the server answers as {named!r}; set sampler.model to it"
        )


def _only_choice(body: Body) -> Body:
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise PassingError(f"a reply without exactly one choice: {str(body)[:200]}")
    found: Body = choices[0]
    return found


def _chat_text(choice: Body) -> object:
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    if any(message.get(name) for name in ("reasoning_content", "reasoning")):
        raise SamplingError(
            "the server cuts the thoughts out of its responses, which is the protocol's to do; start it without a "
            "reasoning parser, or use sampler.api=completions"
        )
    return message.get("content")


def _storable(text: str) -> str:
    """JSON can carry halves of a surrogate pair, UTF-8 cannot; they become U+FFFD, like any undecodable byte."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
