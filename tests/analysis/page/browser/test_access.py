"""The page for every eye and every medium: colours, contrast, widths, paper, headings, focus."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Reader = Any


def test_colours_follow_the_system_and_the_switch_is_remembered(reader: Reader, page: Any) -> None:
    def is_dark() -> bool:
        return sum(map(int, reader.colour().removeprefix("rgb(").removesuffix(")").split(","))) < 300

    reader.media(prefers_color_scheme="dark")
    reader.open(page)
    assert is_dark()
    reader.run("document.querySelector('.theme input[value=light]').click()")
    assert not is_dark()
    reader.open(page)
    assert not is_dark(), "the switch is remembered"
    reader.run("document.querySelector('.theme input[value=auto]').click()")
    assert is_dark()
    reader.media(prefers_color_scheme="light")
    assert not is_dark()


def test_paper_has_no_controls_and_no_table_is_cut(reader: Reader, page: Any) -> None:
    reader.open(page)
    reader.media("print", prefers_color_scheme="dark")
    for control in (".top", "nav", ".search", ".files", ".theme"):
        assert not reader.one(control).is_displayed(), control
    assert reader.colour() == "rgb(255, 255, 255)"
    reader.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 700, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    wide = reader.run(
        "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert wide == 0
    pdf = reader.browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF")


@pytest.mark.parametrize("width", [320, 390, 800, 1600])
def test_no_width_makes_the_page_itself_scroll_sideways(reader: Reader, page: Any, width: int) -> None:
    reader.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    for place in ("", f"#run/{page.cells['prefix_rft 0'].run_id}", f"#run/{page.cells['failed'].run_id}"):
        reader.open(page, place)
        assert reader.run("return document.documentElement.scrollWidth") <= width


_FAINT = """
const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const behind = (e) => {
  const colour = parse(getComputedStyle(e).backgroundColor);
  return colour[3] > 0 ? colour : behind(e.parentElement);
};
const faint = [];
let looked = 0;
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility() || e.closest("option, script, .unseen, legend")) continue;
  const style = getComputedStyle(e), svg = e.tagName === "text";
  const [x, y] = [light(parse(svg ? style.fill : style.color)), light(behind(e))].sort((a, b) => b - a);
  looked += 1;
  if ((x + 0.05) / (y + 0.05) < 4.5) faint.push(`${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)}`);
}
return [looked, [...new Set(faint)]];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(reader: Reader, page: Any, scheme: str) -> None:
    """4.5 to 1 everywhere, WCAG's AA."""
    reader.media(prefers_color_scheme=scheme)
    for place in ("", f"#run/{page.cells['prefix_rft 0'].run_id}", f"#run/{page.cells['failed'].run_id}"):
        reader.open(page, place)
        reader.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        looked, faint = reader.run(_FAINT)
        assert looked > 50
        assert faint == []


def test_headings_and_names_of_a_run_tell_where_one_is(reader: Reader, page: Any) -> None:
    reader.open(page, f"#run/{page.cells['prefix_rft 0'].run_id}")
    levels = reader.run("""
        return [...document.querySelectorAll('h1, h2, h3')].filter((e) => e.checkVisibility())
          .map((e) => Number(e.tagName[1]));
    """)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    nameless = reader.run("""
        return [...document.querySelectorAll('#run [role], #run nav, #run section, #run table')]
          .filter((e) => !e.getAttribute('aria-label') && !e.caption && e.getAttribute('role') !== 'status').length;
    """)
    assert nameless == 0


def test_everything_that_can_be_used_shows_that_it_has_the_focus(reader: Reader, page: Any) -> None:
    from selenium.webdriver import Keys

    reader.open(page)
    seen = set()
    for _ in range(30):
        reader.press(Keys.TAB)
        tag, outline = reader.run("""
            const e = document.activeElement, shown = e.type === 'radio' ? e.nextElementSibling : e;
            return [e.tagName, getComputedStyle(shown).outlineStyle];
        """)
        assert outline == "solid", tag
        seen.add(tag)
    assert seen >= {"A", "BUTTON", "INPUT"}
