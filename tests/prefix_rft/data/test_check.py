"""The report on a data set."""

from __future__ import annotations

from prefix_rft.data import Dataset, Demonstration, Message, Question
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.check import check
from prefix_rft.data.schema import Split
from prefix_rft.settings import ChainData


def question(name: str, text: str, split: Split, *demonstrations: tuple[str, bool | None]) -> Question:
    return Question(
        id=name,
        messages=(Message(role="user", content=text),),
        answer="22",
        demonstrations=tuple(Demonstration(text=item, correct=correct) for item, correct in demonstrations),
        split=split,
    )


def test_counts_of_every_split() -> None:
    long = "33-11=22#22" * 4
    dataset = Dataset(
        train=(
            question("a", "33-11?", "train", ("33-11=22#22", None), ("33-11=23#23", None)),
            question("b", "33-11?", "train", ("33-11=23#23", True)),
            question("c", "11+11?", "train", (long, False)),
        ),
        validation=(question("d", "12+10?", "validation", (long, None)),),
        test=(),
    )
    found = check(dataset, ChainData(), ChainEncoder(4))
    train, validation, test = found.splits
    assert (train.questions, train.with_demonstration, train.demonstrations, train.repeated) == (3, 3, 4, 1)
    assert train.correct == 2, "one by the grader, one because the source says so"
    assert [item.id for item in train.unfit] == ["c"]
    assert validation.unfit == (), "only training demonstrations are read"
    assert test.questions == 0
    assert not found.clean
    assert check(dataset, ChainData()).clean, "without an encoder lengths are not measured"
