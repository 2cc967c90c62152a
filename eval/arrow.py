"""Arrow arrays straight from buffers: pyarrow's own conversion of lists imports pandas, 50 MB for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def array_of(values: Sequence[Any], alias: str) -> pa.Array:
    """An Arrow array of Python values.

    Args:
        values: strings or None for `string`; no None for the others.
        alias: `string`, `bool`, or the name of a number type that NumPy and Arrow share.

    Raises:
        OverflowError: a number does not fit its type, or strings fill more than 2 GiB.
    """
    import pyarrow as pa

    if alias == "string":
        return _strings(values)
    content = _bits(values) if alias == "bool" else np.array(values, dtype=alias)
    return pa.Array.from_buffers(pa.type_for_alias(alias), len(values), [None, pa.py_buffer(content)])


def numbers_of(array: pa.Array) -> NDArray[np.int64]:
    """[N] whole numbers, or truth values as 0 and 1, of an array of at least one and no null."""
    import pyarrow.compute as pc

    buffer = pc.cast(array, "int64").buffers()[1]
    values: NDArray[np.int64] = np.frombuffer(buffer, dtype=np.int64, count=len(array))
    return values


def _strings(values: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    raw = [b"" if value is None else value.encode() for value in values]
    ends = np.array([0, *accumulate(map(len, raw))], dtype=np.int32)
    present = [value is not None for value in values]
    mask = None if all(present) else pa.py_buffer(_bits(present))
    return pa.StringArray.from_buffers(len(raw), pa.py_buffer(ends), pa.py_buffer(b"".join(raw)), mask)


def _bits(values: Sequence[bool]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.packbits(np.array(values, dtype=np.bool_), bitorder="little")
