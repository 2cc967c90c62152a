"""Rows of a data set on the Hugging Face hub; the `datasets` library is imported when one is read."""

from __future__ import annotations

from collections.abc import Iterator

from prefix_rft.data.rows import NumberedRow
from prefix_rft.errors import DataError


def rows(repository: str, revision: str, split: str) -> Iterator[NumberedRow]:
    """Every row of a split with its number from 1.

    Args:
        repository: owner/name on the hub, or a local folder that `datasets` can read.
        revision: commit, tag or branch.
        split: a split that the repository has.

    Raises:
        DataError: the repository cannot be reached or does not exist, or has no such split.
    """
    import datasets

    try:
        table = datasets.load_dataset(repository, revision=revision, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(_explain(repository, revision, split, error)) from error
    yield from enumerate(table, start=1)


def _explain(repository: str, revision: str, split: str, error: Exception) -> str:
    """What went wrong, with the way out; the library's own first line says which case it was."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"split {split!r} of {repository} at {revision} on the Hugging Face hub cannot be had: {reason}\n"
        "Check the name, the revision and the split. Where there is no network (or HF_HUB_OFFLINE=1) run "
        f"`hf download --repo-type dataset {repository} --revision {revision}` on a machine that has one and "
        "give the downloaded parquet file with data=parquet data.path=..."
    )
