"""What all settings share: they are frozen, refuse unknown keys, and say which key was meant."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from prefix_rft.errors import SettingsError
from prefix_rft.settings.explain import explain, tag

Parsed = TypeVar("Parsed", bound="Settings")


class Settings(BaseModel):
    """A group of settings; each field is documented by the string under it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def default_kinds_need_no_name(cls, values: Any) -> Any:
        """A group that can be of several kinds is of its default kind where none is named."""
        if not isinstance(values, dict):
            return values
        chosen = {
            name: tag(type(field.default))
            for name, field in cls.model_fields.items()
            if isinstance(field.default, Settings)
        }
        named = {
            name: {choice[0]: choice[1], **values[name]}
            for name, choice in chosen.items()
            if choice and isinstance(values.get(name), dict)
        }
        return values | named


def parse(kind: type[Parsed], values: dict[str, Any]) -> Parsed:
    """Validate plain values as `kind`.

    Raises:
        SettingsError: names every offending key, the reason, and for an unknown key the nearest known one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [explain(kind, dict(item)) for item in error.errors()]
        raise SettingsError("the configuration is refused:\n  " + "\n  ".join(lines)) from None
