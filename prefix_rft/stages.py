"""Which run a method's run starts from; imports without torch, since plans need it."""

from __future__ import annotations

from prefix_rft.settings.method import MethodSettings, SftMethod, SftRftMethod


def before(settings: MethodSettings) -> MethodSettings | None:
    """The method whose last checkpoint a run starts from; None: the base model."""
    return SftMethod() if isinstance(settings, SftRftMethod) else None
