r"""The answer that a text states in words: `the answer is $x$`, or the formula or number that it ends on.

For responses without a box. What is found is a formula or a number out of a sentence; a line that is itself a formula
or a word is taken as it stands.
"""

from __future__ import annotations

import re
from itertools import pairwise

_FORMULA = re.compile(
    r"(?<!\\)\$\$(?P<display>(?:[^$]|\\\$)+?)(?<!\\)\$\$"
    r"|\\\[(?P<bracket>.+?)\\\]"
    r"|(?<!\\)\$(?P<inline>(?:\\\$|[^$\n])+?)(?<!\\)\$"
    r"|\\\((?P<parenthesis>[^\n]+?)\\\)",
    re.DOTALL,
)
_NUMBER = re.compile(
    r"(?<![\w.^])(?:\\?\$|[£€¥])?"
    r"(?P<number>[-+\u2212]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:/[0-9]+)?(?:[eE][-+]?[0-9]+)?"
    r"(?:\s*\\?%)?)"
)
_PHRASE = re.compile(
    r"\banswer\b(?:[^.:\n$\\]{0,60}?\b(?:is|are|equals)\b)?\s*:?[ \t]*(?:\*\*)?|^[ \t]*A[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_VERB = re.compile(r"\b(?:is|are|be|equals|gives?|get|obtain)\b[\s:]*|=\s*")
_BETWEEN = re.compile(r"\s*,?\s*(?:and|or)?\s*", re.IGNORECASE)
_COMMAND = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_NOT_PROSE = frozenset("and or sqrt sin cos tan cot sec csc log ln exp pi mod choose inf infinity".split())
_LONGEST = 4_000
"""Characters at a response's end that are searched: some searches cost the square of the length."""
_REASONS = frozenset("because since which".split())
_CHAT_TOKEN = re.compile(r"<\|[a-z_]+\|>.*", re.DOTALL)
_NEXT_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\[])")
_END_OF_SENTENCE = re.compile(r"(?:\s*+[A-Za-z\u00b0\u00b2\u00b3]++){0,3}+\s*+[.!*]*+\s*+")
"""Possessive: a word of letters has one reading, where it had as many as there are ways to cut it in three."""


def conclusion(response: str) -> str | None:
    """The answer after the last `answer is` or `answer:`, else the formula or number of the last sentence.

    Returns:
        A formula without delimiters (several joined by commas), a number, or a short line; None where the response
        ends on no statement: then it may itself be the answer.
    """
    text = _CHAT_TOKEN.sub("", response[-_LONGEST:]).strip()
    phrases = [match for match in _PHRASE.finditer(text) if text[match.end() :].strip(" .:*\n")]
    if phrases:
        return _stated(text[phrases[-1].end() :].strip())
    line = text.rsplit("\n", 1)[-1]
    if is_prose(line):
        return next((found for sentence in reversed(_sentences(line)) if (found := _last_in(sentence))), None)
    formulas = list(_FORMULA.finditer(text))
    ends_on_formula = bool(formulas) and not text[formulas[-1].end() :].strip(" .*")
    return _joined(text, formulas) if ends_on_formula else None


def is_prose(line: str) -> bool:
    """Whether a line has two words outside its formulas, names of functions aside; one beside a formula is enough."""
    outside = _FORMULA.sub(" ", line)
    words = [word for word in _WORD.findall(_COMMAND.sub(" ", outside)) if word.lower() not in _NOT_PROSE]
    return len(words) >= (1 if outside != line else 2) or not _REASONS.isdisjoint(words)


def _stated(after: str) -> str | None:
    """The answer at the beginning of what follows `answer is`."""
    formulas = list(_FORMULA.finditer(after))
    if formulas and not after[: formulas[0].start()].strip(" *:"):
        return _joined(after, _run(after, formulas))
    line = _without_full_stop(after.split("\n", 1)[0])
    if not is_prose(line):
        return line or None
    number = _NUMBER.match(line)
    return number["number"] if number else _last_in(_sentences(line)[0]) or line


def _sentences(line: str) -> list[str]:
    masked = _masked(line, list(_FORMULA.finditer(line)))
    starts = [0, *(match.end() for match in _NEXT_SENTENCE.finditer(masked)), len(line)]
    return [line[start:end].strip() for start, end in pairwise(starts)]


def _last_in(line: str) -> str | None:
    """The formula or number after the line's last verb, else its last formula, else a number at its end."""
    line = line.strip().strip("*").strip()
    formulas = list(_FORMULA.finditer(line))
    after = formulas[-1].end() if formulas else 0
    numbers = [match for match in _NUMBER.finditer(_masked(line, formulas)) if match.start() >= after]
    if numbers and (_ends_sentence(line, numbers[-1]) or (not formulas and _follows_verb(line, numbers[-1]))):
        return numbers[-1]["number"].strip()
    return _joined(line, formulas) if formulas else None


def _ends_sentence(line: str, number: re.Match[str]) -> bool:
    return bool(_END_OF_SENTENCE.fullmatch(line[number.end() :]))


def _follows_verb(line: str, number: re.Match[str]) -> bool:
    return any(verb.end() == number.start() for verb in _VERB.finditer(line))


def _masked(line: str, formulas: list[re.Match[str]]) -> str:
    for formula in formulas:
        line = line[: formula.start()] + " " * len(formula.group()) + line[formula.end() :]
    return line


def _run(text: str, formulas: list[re.Match[str]]) -> list[re.Match[str]]:
    """The formulas from the first on that nothing but commas, `and`, `or` separates."""
    run = formulas[:1]
    for formula in formulas[1:]:
        if not _BETWEEN.fullmatch(text[run[-1].end() : formula.start()]):
            break
        run.append(formula)
    return run


def _joined(text: str, formulas: list[re.Match[str]]) -> str | None:
    """The last formula, with those before it that nothing but commas, `and`, `or` separates."""
    run = formulas[-1:]
    for formula in reversed(formulas[:-1]):
        if not _BETWEEN.fullmatch(text[formula.end() : run[0].start()]):
            break
        run.insert(0, formula)
    contents = [next(part for part in formula.groups() if part is not None).strip() for formula in run]
    return ", ".join(contents).strip(" .,") or None


def _without_full_stop(line: str) -> str:
    line = line.strip().strip("*").strip()
    return line if line.endswith("..") else line.removesuffix(".").rstrip()
