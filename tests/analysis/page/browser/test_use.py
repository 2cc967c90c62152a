"""The page in headless Chromium, opened from a file: sorting, finding, opening a run, by mouse and by keyboard."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

Reader = Any
_FOCUS = "return document.activeElement.id || document.activeElement.textContent.trim()"


def test_it_opens_from_a_file_without_a_complaint(reader: Reader, page: Any) -> None:
    reader.open(page)
    assert reader.texts("h1") == ["Main results"]
    assert reader.run("return document.documentElement.dataset.ready") == ""
    assert reader.run("return performance.getEntriesByType('resource').length") == 0
    assert not reader.one("#run").is_displayed()


def test_a_table_is_sorted_by_mouse_and_restored(reader: Reader, page: Any) -> None:
    reader.open(page)
    (header,) = [
        h for h in reader.browser.find_elements("css selector", "#all-runs th") if h.text == "Score (%)"
    ]
    button = header.find_element("tag name", "button")

    def column() -> list[float | None]:
        texts = reader.texts("#all-runs tbody td:nth-child(5)")
        return [float(text) if text else None for text in texts]

    original = column()
    present = sorted(value for value in original if value is not None)
    button.click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column() == [*present, None, None]
    button.click()
    assert header.get_attribute("aria-sort") == "descending"
    assert column() == [*present[::-1], None, None], "what is missing stays last"
    button.click()
    assert header.get_attribute("aria-sort") is None
    assert column() == original


def test_numbers_sort_as_numbers_and_equals_keep_their_order(reader: Reader, page: Any) -> None:
    reader.open(page)
    reader.run("""
        const body = document.querySelector('#all-runs tbody');
        [...body.rows].forEach((row, i) => { row.cells[2].dataset.order = [10, 9, 9, -1, 100, 9, '', 2e1, 0.5][i]; });
        document.querySelectorAll('#all-runs thead button')[2].click();
        window.order = [...body.rows].map((row) => row.cells[2].dataset.order);
        window.ids = [...body.rows].map((row) => row.dataset.run);
    """)
    assert reader.run("return window.order") == ["-1", "0.5", "9", "9", "9", "10", "20", "100", ""]
    listed = [cell.run_id for cell in page.cells.values()]
    assert reader.run("return window.ids")[2:5] == [listed[1], listed[2], listed[5]]


def test_a_table_is_sorted_by_keyboard(reader: Reader, page: Any) -> None:
    from selenium.webdriver import Keys

    reader.open(page)
    reader.run("document.querySelector('#main_results-table thead button').focus()")
    reader.press(Keys.ENTER)
    assert reader.texts("#main_results-table tbody th") == ["Base", "Prefix-RFT", "RFT", "SFT"]
    reader.press(Keys.SPACE)
    assert reader.texts("#main_results-table tbody th") == ["SFT", "RFT", "Prefix-RFT", "Base"]
    assert reader.run(_FOCUS) == "Method", "the focus stays where it was"


def test_a_run_opens_by_mouse_and_the_reader_comes_back_to_the_same_place(reader: Reader, page: Any) -> None:
    reader.open(page)
    run_id = page.cells["prefix_rft 0"].run_id
    link = reader.one(f"#all-runs a[data-run='{run_id}']")
    link.click()
    assert reader.one("#run-title").text == "Prefix-RFT, seed 0"
    assert reader.browser.title == "Prefix-RFT, seed 0 - Main results"
    assert not reader.one("#report").is_displayed()
    assert reader.texts("#run > h2") == [
        "Run it again",
        "Scores",
        "Curves",
        "Settings",
        "Rollouts of training",
        "Evaluated samples, test, " + next(page.path.parents[1].glob("runs/*/eval/test/*")).name,
        "Where it comes from",
        "What happened",
    ]
    assert reader.one("#run .command").text == "python -m experiments.run seed=0"
    reader.browser.back()
    assert reader.soon(lambda: reader.one("#report").is_displayed())
    assert reader.run(_FOCUS) == run_id
    assert reader.browser.title == "Main results"


def test_a_run_opens_by_keyboard_and_the_focus_is_on_its_heading(reader: Reader, page: Any) -> None:
    from selenium.webdriver import Keys

    reader.open(page)
    failed = page.cells["failed"].run_id
    reader.run("document.querySelector(arguments[0]).focus()", f"#main_results-cells a[data-run='{failed}']")
    reader.press(Keys.ENTER)
    assert reader.soon(lambda: reader.run(_FOCUS) == "run-title")
    assert reader.one(".cause").text == "RuntimeError: out of memory"
    assert reader.texts("#run .badge") == ["failed: RuntimeError"]
    reader.back_by_one()
    assert reader.run(_FOCUS) == "Next run"
    reader.press(Keys.ENTER)
    assert reader.soon(lambda: reader.one("#run-title").text == "Prefix-RFT, seed 2")


def test_a_link_from_outside_leads_to_a_run_and_an_unknown_one_is_said(reader: Reader, page: Any) -> None:
    reader.open(page, f"#run/{page.cells['sft 1'].run_id}")
    assert reader.one("#run-title").text == "SFT, seed 1"
    for unknown in ("__proto__", "%", "<b>"):
        reader.open(page, f"#run/{unknown}")
        assert reader.one("#run-title").text == f"There is no run {unknown} on this page."


def test_the_search_finds_by_id_method_state_and_setting(reader: Reader, page: Any) -> None:
    reader.open(page)
    field = reader.one("#query")

    def found(words: str) -> set[str]:
        field.clear()
        field.send_keys(words)
        return set(reader.texts("#all-runs tbody a"))

    ids = {name: cell.run_id for name, cell in page.cells.items()}
    assert found("rft seed=1") == {ids["rft 1"], ids["prefix_rft 1"]}
    assert reader.texts("#found") == ["2 of 9 runs"]
    assert found(ids["sft 0"][:8]) == {ids["sft 0"]}
    assert found("method.name=SFT") == {ids["sft 0"], ids["sft 1"]}
    assert found("clipping.keep=0.2 seed=0") == {ids["prefix_rft 0"]}
    assert found("keep=0.2") == {ids["prefix_rft 0"], ids["prefix_rft 1"], ids["new"]}
    assert found("seed=7") == found("keep=0.25") == set()
    assert found("failed") == {ids["failed"]}
    assert found("nothing-like-it") == set()
    assert found("base model-not") == set()
    field.clear()
    field.send_keys("s")
    field.send_keys("\ue003")
    assert len(reader.texts("#all-runs tbody a")) == 9
    assert reader.one("#found").get_attribute("role") == "status"


def test_tokens_are_told_apart_and_by_more_than_colour(reader: Reader, page: Any) -> None:
    reader.open(page, f"#run/{page.cells['prefix_rft 0'].run_id}")
    spans = reader.browser.find_elements("css selector", ".tokens > span:not(.unseen)")
    assert [(span.text, span.get_attribute("class")) for span in spans] == [
        ("=", "i0"),
        ("3", "ik"),
        ("#3", "em"),
    ]
    lines = [reader.colour(f".tokens .{fate}", "borderBottomStyle") for fate in ("i0", "ik", "em")]
    assert lines == ["dotted", "solid", "dashed"]
    assert "2 imitated; 1 of the 2 shown keep a weight (first: 0.5)" in reader.one(".response").text
    assert "graded right" in reader.one(".response h3").text
    unseen = reader.run("return document.querySelector('.tokens .unseen').textContent")
    assert unseen == " [the policy goes on:] "


def test_a_curve_says_its_values_to_mouse_and_keyboard(reader: Reader, page: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    reader.open(page, f"#run/{page.cells['prefix_rft 0'].run_id}")
    chart = reader.one(".charts svg")
    assert chart.get_attribute("aria-label") == (
        "Reward, ordinary rollouts: step 1: 0%, step 6: 62.5%; least 0%, greatest 62.5%"
    )
    output = reader.one(".charts output")
    ActionChains(reader.browser).move_to_element_with_offset(
        chart, -chart.size["width"] // 2 + 45, 0
    ).perform()
    assert output.text == "step 1: 0%"
    reader.run("arguments[0].focus()", chart)
    reader.press(Keys.END, Keys.ARROW_LEFT)
    assert chart.get_attribute("aria-valuetext") == output.text == "step 5: 50%"
    assert chart.get_attribute("aria-valuenow") == "5"
    reader.one("#run .charts + details > summary").click()
    assert reader.soon(lambda: "3 25 30" in reader.texts("#run .charts + details tbody tr"))


def test_hostile_text_never_runs(reader: Reader, writer: Any) -> None:
    page = writer.hostile()
    reader.open(page)
    for name in ("done", "failed"):
        reader.run("location.hash = arguments[0]", f"#run/{page.cells[name].run_id}")
        assert reader.soon(lambda: "<img src=x onerror=" in reader.one("#run").text)
        for details in reader.browser.find_elements("css selector", "#run details:not([open]) > summary"):
            details.click()
        assert reader.run("return document.querySelectorAll('#planted, #run img').length") == 0
    reader.run("location.hash = '#runs'")
    reader.one("#query").send_keys("<script>")
    assert reader.run("return window.ran") is None
