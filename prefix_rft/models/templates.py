"""How a question is put to a base model, as chat templates (Jinja) that go into the prepared model's folder.

A checkpoint then carries its prompt with it, and training, evaluation and other programs that load the folder read the
same one.
"""

from __future__ import annotations

from typing import Literal

Template = Literal["luffy", "plain", "keep"]
"""luffy: the reasoning prompt of LUFFY and those after it; plain: question and answer, for Llama; keep: the one
that the tokenizer has."""

LUFFY = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n' }}"
    "{%- elif message['role'] == 'user' -%}{{ 'User: This is the problem:\\n' + message['content'] + '\\n' }}"
    "{%- else -%}{{ 'Assistant: ' + message['content'] + eos_token + '\\n' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ 'Assistant: <think>\\n' }}{%- endif -%}"
)
"""LUFFY (arXiv 2504.14945), appendix C.2: the system text, `User: This is the problem:` and the question, `Assistant:
<think>`; each on a new line. What separates the three in the released tokenizer is not published with the code; here it
is one line feed.
"""

PLAIN = (
    "{%- if bos_token -%}{{ bos_token }}{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ 'User: ' + message['content'] + '\\n' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ 'Answer: ' + message['content'] + eos_token + '\\n' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    '{%- if add_generation_prompt -%}{{ "Answer: Let\'s think step by step." }}{%- endif -%}'
)
"""LUFFY's prompt for Llama-3.1-8B, which does not follow the long one: `User: {question}`, `Answer: Let's think step by
step.`; no system text. The line feed between the two is ours, the source prints them in a row.
"""

TEMPLATES: dict[Template, str | None] = {"luffy": LUFFY, "plain": PLAIN, "keep": None}
