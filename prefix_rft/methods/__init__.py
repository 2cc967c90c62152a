"""The methods, one short file each, and the flat table that names them."""

from __future__ import annotations

from prefix_rft.errors import SettingsError, unknown
from prefix_rft.methods.base import Method
from prefix_rft.methods.dr_po import DrPo
from prefix_rft.methods.luffy import Luffy
from prefix_rft.methods.prefix_rft import PrefixRft
from prefix_rft.methods.relift import Relift
from prefix_rft.methods.rft import Rft
from prefix_rft.methods.rl_sft_loss import RlSftLoss
from prefix_rft.methods.sft import Sft
from prefix_rft.methods.sft_rft import SftRft
from prefix_rft.methods.uft import Uft
from prefix_rft.settings.method import MethodSettings

__all__ = ["METHODS", "Method", "make_method"]

# To add a method: one file here that cites its paper and states its rule, and a line below; CONTRIBUTING.md walks
# through it, its settings included.
METHODS: dict[str, type[Method]] = {
    "sft": Sft,
    "rft": Rft,
    "sft_rft": SftRft,
    "rl_sft_loss": RlSftLoss,
    "uft": Uft,
    "luffy": Luffy,
    "relift": Relift,
    "dr_po": DrPo,
    "prefix_rft": PrefixRft,
}


def make_method(settings: MethodSettings, max_response_tokens: int) -> Method:
    """The rule that the settings name.

    Raises:
        SettingsError: the table has no such method.
    """
    if settings.name not in METHODS:
        raise SettingsError(unknown("method", settings.name, METHODS))
    return METHODS[settings.name](settings, max_response_tokens)
