"""The book of what was submitted: what an entry costs does not depend on how much was submitted before."""

from __future__ import annotations

import os

import pytest

from slurm.arrays import After, Job, arrange
from slurm.book import Book, Entry


@pytest.fixture
def book(tmp_path):
    (tmp_path / "slurm").mkdir()
    return Book(tmp_path)


def test_an_entry_reads_only_the_end_of_the_book(book, monkeypatch):
    book.plan(Entry("old", "train", {index: f"cell{index}" for index in range(20_000)}))
    size, read, original = book.path.stat().st_size, [], os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: read.append(asked[1]) or original(*asked))
    book.plan(Entry("new", "train", {0: "cell"}))
    assert sum(read) <= 1 << 16 < size
    assert [entry.token for entry in book.entries()] == ["old", "new"]


def test_a_torn_end_longer_than_what_is_read_at_a_time_is_cut_off(book):
    book.plan(Entry("whole", "train", {0: "cell"}))
    with book.path.open("ab") as file:
        file.write(b'{"torn": "' + b"x" * (3 << 16))
    book.plan(Entry("next", "train", {0: "cell"}))
    assert [entry.token for entry in book.entries()] == ["whole", "next"]


def test_a_torn_first_line_is_cut_off(book):
    book.path.write_bytes(b'{"event": "plan')
    book.plan(Entry("first", "train", {0: "cell"}))
    assert [entry.token for entry in book.entries()] == ["first"]


class Index(int):
    """A place in an array that counts what it is compared with."""

    compared = 0

    def __eq__(self, other):
        Index.compared += 1
        return int(self) == int(other)

    def __hash__(self):
        return hash(int(self))


def test_jobs_on_many_bases_are_not_looked_through_for_each_base():
    bases = 30
    live = {(f"base{n}", "train"): ("bases", Index(n)) for n in range(bases)}
    jobs = [Job(f"cell{n}-{m}", "train", (), (f"base{n}", "train")) for n in range(bases) for m in (0, 1)]
    drafts = arrange(jobs, live, 1000, lambda stage: f"{stage}-{Index.compared}")
    assert [draft.after for draft in drafts] == [After("bases", n) for n in range(bases)]
    assert [len(draft.jobs) for draft in drafts] == [2] * bases
    # The counts above compare each base once; that of each job's index meets equals only.
    assert Index.compared < 5 * len(jobs)
