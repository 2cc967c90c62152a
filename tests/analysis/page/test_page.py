"""The page: complete, well built, self-contained, and nothing on it that is not in the store."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from analysis.page.sheet import Embedded
from analysis.report import write_report
from prefix_rft.runs.provenance import PROVENANCE_FILE


def _texts(elements: Any) -> list[str]:
    return [" ".join(element.text.split()) for element in elements]


def _table(page: Any, key: str) -> list[list[str]]:
    (table,) = page.tree.all("table", id=key)
    return [_texts(cell for cell in row.children if not isinstance(cell, str)) for row in table.all("tr")]


def test_landmarks_and_headings_tell_where_one_is(page: Any) -> None:
    tree = page.tree
    assert tree.all("html")[0].attributes["lang"] == "en"
    assert [len(tree.all(tag)) for tag in ("main", "header", "nav", "h1", "title")] == [1, 1, 1, 1, 1]
    assert tree.all("nav")[0].attributes["aria-label"] == "Contents"
    levels = [int(element.tag[1]) for element in tree.all() if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), "no level is left out"
    assert tree.all("a")[0].attributes["href"] == "#main", "the first link leads past the contents"
    assert len({element.attributes["id"] for element in tree.all() if "id" in element.attributes}) == len(
        [element for element in tree.all() if "id" in element.attributes]
    )


def test_every_link_leads_somewhere(page: Any) -> None:
    tree, runs = page.tree, page.data["runs"]
    ids = {element.attributes.get("id") for element in tree.all()}
    links = [link.attributes["href"] for link in tree.all("a")]
    inside = [link.removeprefix("#") for link in links if link.startswith("#")]
    assert len(inside) > 20
    for link in inside:
        assert link.removeprefix("run/") in runs if link.startswith("run/") else link in ids
    labelled = [e.attributes["aria-labelledby"] for e in tree.all() if "aria-labelledby" in e.attributes]
    assert set(labelled) - {"run-title"} <= ids


def test_tables_say_what_their_cells_are(page: Any) -> None:
    tables = page.tree.all("table")
    assert [table.attributes["id"] for table in tables] == [
        "main_results-table",
        "main_results-orderings",
        "main_results-published",
        "main_results-cells",
        "all-runs",
    ]
    for table in tables:
        assert _texts(table.all("caption")) != [""]
        head, *rows = table.all("tr")
        assert {cell.attributes["scope"] for cell in head.all("th")} == {"col"}
        for row in rows:
            assert [cell.attributes["scope"] for cell in row.all("th")] == ["row"]
            assert len(row.all("th")) + len(row.all("td")) == len(head.all("th"))


def test_the_numbers_are_those_of_the_store_and_sort_by_their_exact_value(page: Any, build: Any) -> None:
    scores = {row[0]: row for row in _table(page, "main_results-table")}
    runs = {row[0]: row for row in _table(page, "all-runs")}
    folder = next(build.store.path(page.cells["prefix_rft 1"].run_id).glob("eval/*/*/scores.json"))
    value = re.search(r'"avg@4": \{\s*"value": ([\d.]+)', folder.read_text())
    assert value is not None
    shown = f"{100 * float(value[1]):.1f}"
    assert runs[page.cells["prefix_rft 1"].run_id][4] == shown
    assert shown in _table(page, "main_results-cells")[-1]
    assert scores["RFT"][1] == "2/3"
    (table,) = page.tree.all("table", id="all-runs")
    orders = [cell.attributes["data-order"] for cell in table.all("td") if cell.text.strip() == shown]
    assert float(orders[0]) == float(value[1])


def test_a_score_that_changes_in_the_store_changes_on_the_page(writer: Any) -> None:
    cells = writer.cells()
    first = writer.page(writer.sheet(cells), cells=cells).path.read_text()
    better = writer.build.done("rl_sft_loss", 0, writer.verdicts(1.0))
    second = writer.page(writer.sheet(cells | {"more": better}), cells=cells).path.read_text()
    assert "RL + SFT loss is highest" not in first
    assert "RL + SFT loss is highest (avg@4 " in second
    assert better.run_id in second
    assert better.run_id not in first


def test_published_numbers_stand_beside_ours(page: Any) -> None:
    rows = {row[0]: row[1:] for row in _table(page, "main_results-published")}
    assert rows["SFT→RFT"][1:] == ["48.2", "57.0"]
    assert (
        rows["Prefix-RFT"][0]
        == {row[0]: row for row in _table(page, "main_results-table")}["Prefix-RFT"][2].split(" ± ")[0]
    )


def test_a_reader_finds_the_answers_at_the_top(page: Any) -> None:
    (facts,) = [dl for dl in page.tree.all("dl") if dl.attributes.get("class") == "glance"]
    answers = dict(zip(_texts(facts.all("dt")), _texts(facts.all("dd")), strict=True))
    assert list(answers) == [
        "Reproduces",
        "Compared",
        "Protocol",
        "Outcome",
        "How sure",
        "Missing",
        "Run it again",
    ]
    assert answers["Compared"] == "Base, SFT, RFT, Prefix-RFT; 3 training seeds, 9 runs."
    assert answers["Outcome"].startswith("Prefix-RFT is highest (avg@4 ")
    assert "Prefix-RFT against SFT: +" in answers["How sure"]
    assert "failed: RuntimeError" in answers["Missing"]
    assert answers["Run it again"].endswith("python -m experiments.run --multirun +sweep=main_results")


def test_a_run_carries_what_is_asked_of_it(page: Any) -> None:
    data, cells = page.data, page.cells
    done, failed, new = (data["runs"][cells[name].run_id] for name in ("prefix_rft 0", "failed", "new"))
    assert failed["state"]["error"] == {"type": "RuntimeError", "message": "out of memory", "log": None}
    assert failed["command"] == "python -m experiments.run seed=2"
    assert done["places"] == [["main_results", "Prefix-RFT"]]
    assert done["provenance"]["source"]["commit"] == "0123456789abcdef0123"
    reward, accuracy = (
        next(c for c in done["curves"] if data["metrics"][c[0]][0] == title)
        for title in ("Reward, ordinary rollouts", "Validation accuracy")
    )
    assert reward[1:] == [[1, 2, 3, 4, 5, 6], [0, 12.5, 25, 37.5, 50, 62.5]]
    assert accuracy[1:] == [[3, 6], [30, 80]]
    assert done["rollouts"][0]["stretches"] == [["=", "i0"], ["3", "i+"], ["#3", "e-"]]
    (evaluated,) = done["evaluated"]
    assert [sample["question"] for sample in evaluated["samples"]] == ["q000", "q001", "q002", "q003"]
    assert {sample["response"] for sample in evaluated["samples"]} == {"1#1$"}
    assert {row[2] for row in done["scores"]} >= {"avg@4", "pass@2", "mean_tokens"}
    assert (new["standing"], new["scores"], new["curves"]) == ("not started", [], [])


def test_settings_are_said_once_and_what_differs_first(page: Any) -> None:
    data = page.data
    runs = {name: data["runs"][cell.run_id] for name, cell in page.cells.items()}
    whole = {
        name: data["common"] | run["settings"] | dict.fromkeys(run["absent"]) for name, run in runs.items()
    }
    assert whole["sft 1"]["seed"][0] == "1"
    assert whole["rft 0"]["method.name"][0] == "rft"
    assert whole["sft 0"]["method.rollouts"] is None
    assert {"method.name", "seed"} <= set(runs["rft 0"]["varied"])
    assert "data.modulus" not in runs["rft 0"]["varied"]
    assert data["meanings"][whole["rft 0"]["seed"][1]][0] == "whole number"
    assert {"store", "tracking.wandb"} <= set(data["uncounted"])
    assert "method.name" not in whole["base"] or whole["base"]["method.name"] is None


def test_nothing_is_fetched_and_only_our_own_script_may_run(page: Any) -> None:
    text, tree = page.path.read_text("utf-8"), page.tree
    (policy,) = [m.attributes["content"] for m in tree.all("meta") if "http-equiv" in m.attributes]
    (style,), (_, script) = tree.all("style"), tree.all("script")
    for kind, block in (("style", style), ("script", script)):
        digest = b64encode(hashlib.sha256(block.text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not [
        e for e in tree.all() if any(name.startswith("on") or name == "style" for name in e.attributes)
    ]
    addresses = [e.attributes[name] for e in tree.all() for name in ("src", "href") if name in e.attributes]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "@import" not in style.text
    assert "url(" not in style.text
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_tables_can_be_taken_along(page: Any) -> None:
    links = [link for link in page.tree.all("a") if "download" in link.attributes]
    names = [
        f"{name}.{kind}" for name in ("table", "orderings", "published") for kind in ("csv", "tex", "md")
    ]
    assert [link.attributes["download"] for link in links] == names
    content = b64decode(links[0].attributes["href"].partition("base64,")[2]).decode()
    assert content.startswith("method,seeds,avg@4")


def test_the_same_runs_and_date_give_the_same_bytes(writer: Any) -> None:
    cells = writer.cells()
    one, other = (writer.page(writer.sheet(cells), cells=cells).path.read_bytes() for _ in range(2))
    assert one == other


def test_several_sweeps_share_one_page_and_one_entry_a_run(writer: Any) -> None:
    cells = writer.cells()
    few = {name: cells[name] for name in ("base", "rft 0", "rft 1")}
    sheets = [writer.sheet(cells), writer.sheet(few, "baseline_choice", title="Baselines")]
    page = writer.page(*sheets, cells=cells, title="Results of all sweeps")
    assert [row[0] for row in _table(page, "overview")] == ["Sweep", "Main results", "Baselines"]
    assert len(page.data["runs"]) == len(cells)
    shared = page.data["runs"][cells["rft 0"].run_id]
    assert shared["places"] == [["main_results", "RFT"], ["baseline_choice", "RFT"]]
    assert {row[0]: row for row in _table(page, "all-runs")}[cells["rft 0"].run_id][2] == "RFT (and 1 more)"
    assert _texts(page.tree.all("h2"))[:3] == ["All sweeps", "Main results", "Baselines"]


def test_figures_are_inside_and_captioned(writer: Any) -> None:
    cells = writer.cells()
    picture = Embedded("learning_curves", "Mean over <seeds>.", "data:image/png;base64,AAAA")
    page = writer.page(replace(writer.sheet(cells), pictures=(picture,)), cells=cells)
    (image,) = page.tree.all("img")
    assert image.attributes["src"] == "data:image/png;base64,AAAA"
    assert image.attributes["alt"].startswith("learning curves")
    assert _texts(page.tree.all("figcaption")) == ["Learning curves. Mean over <seeds>."]


def test_a_damaged_run_is_on_the_page_with_the_reason(writer: Any) -> None:
    cells = writer.cells()
    damaged = writer.build.store.path(cells["rft 0"].run_id)
    (damaged / "state.json").write_text("{")
    (damaged / "samples.jsonl").write_text("no\n")
    run = writer.page(writer.sheet(cells), cells=cells).data["runs"][cells["rft 0"].run_id]
    assert run["standing"].startswith("unreadable")
    assert "state.json" in run["damage"]
    assert [text.partition(":")[0] for text in run["unread"]] == ["state", "rollouts"]


def test_a_run_without_provenance_and_a_run_that_was_never_made(writer: Any) -> None:
    cells = writer.cells()
    (writer.build.store.path(cells["sft 0"].run_id) / PROVENANCE_FILE).unlink()
    absent = replace(cells["new"], run_id="0" * 12, seed=9)
    page = writer.page(writer.sheet(cells | {"absent": absent}), cells=cells)
    assert page.data["runs"][cells["sft 0"].run_id]["provenance"] == {}
    assert page.data["runs"]["0" * 12]["standing"] == "not started"
    assert page.data["runs"]["0" * 12]["state"] is None


@pytest.mark.slow
def test_the_report_folder_holds_the_page_with_its_figures(writer: Any, tmp_path: Any) -> None:
    cells = writer.cells()
    *_, path = write_report(writer.build.store, tmp_path / "report", list(cells.values()), date="2026-11-21")
    assert path.name == "index.html"
    drawn = list((tmp_path / "report" / "figures").glob("*.svg"))
    assert drawn
    assert path.read_text().count('src="data:image/svg+xml;base64,') == len(drawn)


def test_a_page_of_nothing_says_so(writer: Any) -> None:
    page = writer.page(cells={})
    assert page.data["runs"] == {}
    assert "of 0 runs" in page.path.read_text()
    assert "No run has recorded where it came from." in page.path.read_text()
