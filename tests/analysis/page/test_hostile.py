"""Text of a run is never markup, whatever stands in it: what a parser of HTML makes of the worst."""

from __future__ import annotations

from typing import Any

from analysis.page.text import visible

SEEN = "<img src=x onerror="


def test_hostile_text_adds_no_element_and_no_attribute(writer: Any) -> None:
    tree = writer.hostile().tree
    assert [script.attributes for script in tree.all("script")] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    assert not tree.all("img")
    assert not tree.all(id="planted")
    assert not [e for e in tree.all() if any(name.startswith("on") for name in e.attributes)]
    assert {link.attributes["href"].partition(":")[0][:1] for link in tree.all("a")} <= {"#", "d"}


def test_hostile_text_is_shown_as_it_is(writer: Any) -> None:
    page = writer.hostile()
    tree, data = page.tree, page.data
    assert SEEN in tree.all("h1")[0].text
    assert SEEN in tree.all("title")[0].text
    assert "[U+202E]" in tree.all("h1")[0].text
    assert "{{ 7 * 7 }}" in tree.all("h1")[0].text, "it is not a template either"
    done, failed = (data["runs"][page.cells[name].run_id] for name in ("done", "failed"))
    assert SEEN in failed["state"]["error"]["message"]
    assert SEEN in done["rollouts"][0]["prompt"]
    assert SEEN in done["rollouts"][0]["stretches"][1][0]
    assert SEEN in done["evaluated"][0]["samples"][0]["response"]
    assert SEEN in done["provenance"]["command"]
    assert SEEN in data["common"]["tracking.tags"][0]


def test_nothing_invisible_reaches_the_page(writer: Any) -> None:
    text = writer.hostile().path.read_text("utf-8")
    assert visible(text) == text
