"""Files of samples and of verdicts: typed rows, parquet with checksums, atomic writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from eval.arrow import array_of
from prefix_rft import keyed
from prefix_rft.errors import DataError
from prefix_rft.runs.atomic import refused, sync_file, sync_folder, temporary_beside

if TYPE_CHECKING:
    import pyarrow as pa

Pair = tuple[str, int]
"""Question id and sample index: what names a sample."""

ROW_GROUP = 4096
NAMES = ("question_id", "sample")
"""The columns that name a row."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One response as the policy wrote it."""

    question_id: str
    sample: int
    """Index of the sample within its question, from 0."""
    response: str
    tokens: int
    """Tokens written, end-of-sequence token included."""
    finished: bool
    """Whether it ended by itself; False: cut at the longest response."""
    key: int
    """The 64-bit key that its random numbers belong to."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the grader said of one response."""

    question_id: str
    sample: int
    correct: bool
    status: str
    """ok, no_answer, timeout, ...: see `prefix_rft.grading`."""
    extracted: str | None
    """The final answer found, if any."""


Row = TypeVar("Row", Sample, Verdict)


@dataclass(frozen=True)
class Kind(Generic[Row]):
    """A sort of file: its rows, its columns (parquet types), and what happens to rows that are deleted."""

    name: str
    row: type[Row]
    columns: dict[str, str]
    remade: str


SAMPLES = Kind(
    "samples",
    Sample,
    {
        "question_id": "string",
        "sample": "int32",
        "response": "string",
        "tokens": "int32",
        "finished": "bool",
        "key": "uint64",
    },
    "its samples are then made again, the same ones",
)
VERDICTS = Kind(
    "verdicts",
    Verdict,
    {
        "question_id": "string",
        "sample": "int32",
        "correct": "bool",
        "status": "string",
        "extracted": "string",
    },
    "its responses are then graded again",
)


def samples_path(folder: Path) -> Path:
    """Where an evaluation's samples are."""
    return folder / f"{SAMPLES.name}.parquet"


def verdicts_path(folder: Path) -> Path:
    """Where an evaluation's verdicts are."""
    return folder / f"{VERDICTS.name}.parquet"


def sample_key(seed: int, question_id: str, sample: int) -> int:
    """The key of one sample: its random numbers depend on nothing else."""
    return keyed.key("sample", seed, question_id, sample)


def write_rows(path: Path, kind: Kind[Row], rows: Sequence[Row]) -> None:
    """Write rows as one parquet file, all or nothing.

    Raises:
        RunError: the disk is full or refuses.
    """
    import pyarrow as pa

    columns = [array_of([getattr(row, name) for row in rows], alias) for name, alias in kind.columns.items()]
    write_table(path, pa.Table.from_arrays(columns, schema=_schema(kind)))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as one parquet file with page checksums, all or nothing.

    Raises:
        RunError: the disk is full or refuses.
    """
    _write(path, table.schema, [table])


def write_tables(path: Path, kind: Kind[Any], tables: Iterable[pa.Table]) -> None:
    """Write tables after one another as one parquet file, all or nothing; only one of them is in memory.

    Raises:
        RunError: the disk is full or refuses.
    """
    _write(path, _schema(kind), tables)


def _write(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    import pyarrow.parquet as pq

    temporary = temporary_beside(path)
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as file:
            for table in tables:
                file.write_table(table, row_group_size=ROW_GROUP)
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_table(path: Path, kind: Kind[Row], columns: Sequence[str] | None = None) -> pa.Table:
    """A file of samples or verdicts, checksums verified.

    Args:
        path: the file.
        kind: what it should hold.
        columns: only these; None reads all.

    Raises:
        DataError: the file is missing, damaged, or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"there is no {path}; evaluate the run first.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_schema(kind)):
                raise _damaged(path, kind, f"its columns are {', '.join(file.schema_arrow.names)}")
            table = file.read(columns=None if columns is None else list(columns))
            if table.num_rows != file.metadata.num_rows:
                raise _damaged(path, kind, f"it holds {table.num_rows} of {file.metadata.num_rows} rows")
            return table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, kind, str(error)) from error


def read_rows(path: Path, kind: Kind[Row], chunk: int = ROW_GROUP) -> Iterator[list[Row]]:
    """The file's rows in its order, so many at a time.

    Raises:
        DataError: the file is missing, damaged, or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    count_rows(path, kind)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_schema(kind)):
                raise _damaged(path, kind, f"its columns are {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(batch_size=chunk):
                yield [kind.row(**row) for row in batch.to_pylist()]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, kind, str(error)) from error


def count_rows(path: Path, kind: Kind[Any]) -> int:
    """Number of rows, without reading them.

    Raises:
        DataError: the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"there is no {path}; evaluate the run first.")
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, kind, str(error)) from error


def pairs_of(table: pa.Table) -> Iterator[Pair]:
    """What names the table's rows."""
    return zip(table["question_id"].to_pylist(), table["sample"].to_pylist(), strict=True)


def _schema(kind: Kind[Any]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(alias)) for name, alias in kind.columns.items()])


def _damaged(path: Path, kind: Kind[Any], reason: str) -> DataError:
    return DataError(
        f"{path} is damaged ({reason.rstrip('. ')}). Delete that file and run again: {kind.remade}; "
        "nothing else is lost."
    )
