"""From a row to a question: named columns, or the layout of verl and LUFFY; the same for files and hub."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Literal, get_args

from prefix_rft.data.rows import Row, RowError, missing_column
from prefix_rft.data.schema import Demonstration, Message, Question, Role, Split
from prefix_rft.settings.data import Columns, FileSettings, HubData, JsonlData, ParquetData

ROLES: tuple[str, ...] = get_args(Role)
LUFFY_COLUMNS = (
    "data_source",
    "prompt",
    "target",
    "target_lst",
    "demos",
    "correctness",
    "reward_model",
    "extra_info",
)
"""All that is read of a row in the layout of verl and LUFFY."""


def convert(row: Row, number: int, split: Split, settings: FileSettings) -> Question:
    """The question of a row.

    Raises:
        RowError: with the field at fault and why.
    """
    if isinstance(settings, JsonlData) or (isinstance(settings, HubData) and settings.layout == "columns"):
        return from_columns(row, number, split, settings)
    return from_luffy(row, number, split, settings)


def from_columns(row: Row, number: int, split: Split, settings: JsonlData | HubData) -> Question:
    """Columns as `settings.columns` names them."""
    columns = settings.columns
    name = None if columns.id is None else _get(row, columns.id, "data.columns.id (null numbers the rows)")
    return Question(
        id=_numbered(number, split) if columns.id is None else _id(name, columns.id),
        messages=_messages(_get(row, columns.question, "data.columns.question"), columns.question, settings),
        answer=_answer(_get(row, columns.answer, "data.columns.answer"), columns.answer),
        demonstrations=_column_demonstrations(row, columns),
        split=split,
    )


def from_luffy(row: Row, number: int, split: Split, settings: ParquetData | HubData) -> Question:
    """prompt, target (or target_lst, or demos with correctness), reward_model.ground_truth, extra_info.

    The id is data_source, extra_info.split and extra_info.index joined by dashes; the row's number where
    there is no index or `ids=row`.
    """
    layout = (
        "the layout; data.columns names other columns (data.kind=jsonl, or data.kind=hub data.layout=columns)"
    )
    reward = _get(row, "reward_model", layout)
    if not isinstance(reward, dict) or "ground_truth" not in reward:
        raise RowError("reward_model.ground_truth", f"it is not there: reward_model is {_kind(reward)}")
    return Question(
        id=_luffy_id(row, number, split, settings.ids),
        messages=_messages(_get(row, "prompt", layout), "prompt", settings),
        answer=_answer(reward["ground_truth"], "reward_model.ground_truth"),
        demonstrations=_luffy_demonstrations(row),
        split=split,
    )


def _get(row: Row, column: str, setting: str) -> Any:
    if column not in row:
        raise missing_column(column, list(row), setting)
    return row[column]


def _text(value: Any, field: str) -> str:
    """A text that is there and can be written as UTF-8."""
    if not isinstance(value, str):
        raise RowError(field, f"a text is expected, this is {_kind(value)}")
    if not value.strip():
        raise RowError(field, "it is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowError(
            field, f"character {error.start + 1} is half of a surrogate pair, not a character"
        ) from None
    return value


def _id(value: Any, field: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, field)


def _numbered(number: int, split: Split) -> str:
    """Names of rows without one; those of a validation or test file must differ from the training file's."""
    return f"row-{number}" if split == "train" else f"{split}-row-{number}"


def _answer(value: Any, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return _text(value, field).strip()
    if not math.isfinite(value):
        raise RowError(field, f"{value} is not an answer")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _messages(value: Any, field: str, settings: FileSettings) -> tuple[Message, ...]:
    """A text, or a list of messages, with the system prompt and the suffix that the settings ask for."""
    if isinstance(value, list):
        messages = [_message(item, f"{field}[{index}]") for index, item in enumerate(value)]
    else:
        messages = [Message(role="user", content=_text(value, field))]
    if not messages or messages[-1].role != "user":
        raise RowError(field, "the last message must be the user's")
    if settings.drop_system_prompt:
        messages = [message for message in messages if message.role != "system"]
    if settings.system_prompt and all(message.role != "system" for message in messages):
        messages.insert(0, Message(role="system", content=settings.system_prompt))
    last = Message(role="user", content=messages[-1].content + settings.question_suffix)
    return (*messages[:-1], last)


def _message(value: Any, field: str) -> Message:
    if not isinstance(value, dict):
        raise RowError(field, f"a message {{role, content}} is expected, this is {_kind(value)}")
    role = value.get("role")
    if role not in ROLES:
        raise RowError(f"{field}.role", f"{role!r} is not a role. Known: {', '.join(ROLES)}")
    return Message(role=role, content=_text(value.get("content"), f"{field}.content"))


def _column_demonstrations(row: Row, columns: Columns) -> tuple[Demonstration, ...]:
    if columns.demonstration is None:
        return ()
    hint = "data.columns.demonstration (null for data without demonstrations)"
    texts = _texts(_get(row, columns.demonstration, hint), columns.demonstration)
    correct: list[bool | None] = [None] * len(texts)
    if columns.correctness is not None:
        given = _get(row, columns.correctness, "data.columns.correctness (null if the file does not say)")
        correct = _correctness(given, len(texts), columns.correctness)
    return _demonstrations(texts, correct, columns.demonstration)


def _luffy_demonstrations(row: Row) -> tuple[Demonstration, ...]:
    """`target`, then those of `target_lst` and of `demos` that say something else."""
    found = _unjudged(_targets(row.get("target"), "target"), "target")
    listed = row.get("target_lst")
    if listed is not None and not isinstance(listed, list):
        raise RowError("target_lst", f"a list of targets is expected, this is {_kind(listed)}")
    for index, target in enumerate(listed or []):
        found += _unjudged(_targets(target, f"target_lst[{index}]"), "target_lst")
    texts = _texts(row.get("demos"), "demos")
    found += _demonstrations(texts, _correctness(row.get("correctness"), len(texts), "correctness"), "demos")
    first_of = {item.text: item for item in reversed(found)}
    return tuple(item for item in found if first_of[item.text] is item)


def _targets(value: Any, field: str) -> list[str]:
    """A target is null, a text, or a list of one message by the assistant."""
    if value is None:
        return []
    if isinstance(value, str):
        return [_text(value, field)]
    if not isinstance(value, list) or len(value) != 1:
        size = f" of {len(value)}" if isinstance(value, list) else ""
        raise RowError(field, f"a list of one message is expected, this is {_kind(value)}{size}")
    message = _message(value[0], f"{field}[0]")
    if message.role != "assistant":
        raise RowError(f"{field}[0].role", f"a demonstration is the assistant's, not the {message.role}'s")
    return [message.content]


def _texts(value: Any, field: str) -> list[str]:
    """None, one text or a list of texts, as a list."""
    if value is None:
        return []
    if isinstance(value, list):
        return [_text(item, f"{field}[{index}]") for index, item in enumerate(value)]
    return [_text(value, field)]


def _correctness(value: Any, count: int, field: str) -> list[bool | None]:
    if value is None:
        return [None] * count
    given = value if isinstance(value, list) else [value]
    if len(given) != count:
        raise RowError(field, f"{len(given)} verdicts for {count} demonstrations")
    for item in given:
        if item is not None and not isinstance(item, bool):
            raise RowError(field, f"true, false or null is expected, this is {_kind(item)}")
    return given


def _unjudged(texts: list[str], source: str) -> tuple[Demonstration, ...]:
    return _demonstrations(texts, [None] * len(texts), source)


def _demonstrations(texts: list[str], correct: list[bool | None], source: str) -> tuple[Demonstration, ...]:
    return tuple(
        Demonstration(text=text, correct=verdict, source=source)
        for text, verdict in zip(texts, correct, strict=True)
    )


def _luffy_id(row: Row, number: int, split: Split, ids: Literal["index", "row"]) -> str:
    extra = row.get("extra_info")
    if ids == "row" or not isinstance(extra, dict) or extra.get("index") is None:
        return _numbered(number, split)
    before = {"data_source": row.get("data_source"), "extra_info.split": extra.get("split")}
    parts = [_text(value, field) for field, value in before.items() if value not in (None, "")]
    return "-".join([*parts, _id(extra["index"], "extra_info.index")])


def _kind(value: Any) -> str:
    """A value's type in the words of JSON."""
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
