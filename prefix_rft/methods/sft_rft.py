"""SFT, then RFT: two runs chained. `prefix_rft.stages.before` names the first; this is the second's rule."""

from __future__ import annotations

from prefix_rft.methods.rft import Rft


class SftRft(Rft):
    """The rule of RFT, from the last checkpoint of the SFT run."""
