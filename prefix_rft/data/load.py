"""Questions from wherever the settings say, as one data set."""

from __future__ import annotations

from prefix_rft.data.chain import load_chain
from prefix_rft.data.schema import Dataset
from prefix_rft.data.subsets import apply_shares
from prefix_rft.settings.data import ChainData, DataSettings


def load(settings: DataSettings) -> Dataset:
    """All three splits, with the nested shares of questions and demonstrations applied to training.

    Raises:
        DataError: the source is not there, cannot be read, or holds a row that cannot be used.
    """
    if isinstance(settings, ChainData):
        return apply_shares(load_chain(settings), settings)
    from prefix_rft.data.files import load_files

    return apply_shares(load_files(settings), settings)
