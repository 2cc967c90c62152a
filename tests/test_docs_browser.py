"""The documentation in a headless Chromium, opened as files and without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[dev]'")
pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install -e '.[dev]'")

from mkdocs.commands.build import build
from mkdocs.config import load_config

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def test_every_page_opens_without_an_error(chromium: Any, site: Path) -> None:
    for page in sorted(site.glob("*.html")):
        if page.stem == "404":  # what a server shows, from its root
            continue
        chromium.get(page.as_uri())
        assert [entry["message"] for entry in chromium.get_log("browser")] == [], page.name


def test_the_search_answers_from_a_file(chromium: Any, site: Path) -> None:
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait(chromium, 20)
    chromium.get((site / "index.html").as_uri())
    box = chromium.find_element("css selector", "[data-md-component=search-query]")
    box.click()
    box.send_keys("entropy clipping")
    found = wait.until(lambda page: page.find_elements("css selector", ".md-search-result__link"))
    assert any("method.html" in link.get_attribute("href") for link in found)


def test_formulas_are_drawn_and_stand_beside_their_code_where_there_is_room(
    chromium: Any, site: Path
) -> None:
    places = "return [...document.querySelectorAll('.beside > div')].slice(0, 2).map(d => d.getBoundingClientRect().x)"
    for width, beside in ((1366, False), (1920, True)):
        chromium.set_window_size(width, 900)
        chromium.get((site / "method.html").as_uri())
        formula, code = chromium.execute_script(places)
        assert (formula < code) is beside
        heights = chromium.execute_script(
            "return [...document.querySelectorAll('.formula math')].map(m => m.getBoundingClientRect().height)"
        )
        assert len(heights) >= 8
        assert min(heights) > 10
