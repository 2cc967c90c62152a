"""A headless Chromium, and somebody who reads a page with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class Reader:
    """Somebody who reads a page."""

    browser: Any

    def open(self, page: Any, place: str = "") -> None:
        self.browser.get("about:blank")
        self.browser.get(f"{page.path.as_uri()}{place}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        """The first such element, as soon as there is one."""
        self.soon(lambda: self.run("return document.querySelector(arguments[0])", selector) is not None)
        return self.browser.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Of the elements that are there to be seen."""
        return [e.text for e in self.browser.find_elements("css selector", selector) if e.is_displayed()]

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def back_by_one(self) -> None:
        """Shift and tab."""
        from selenium.webdriver import ActionChains, Keys

        ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()

    def soon(self, condition: Callable[[], bool]) -> bool:
        """Whether it holds within ten seconds."""
        from selenium.webdriver.support.wait import WebDriverWait

        return bool(WebDriverWait(self.browser, 10).until(lambda _: condition()))

    def complaints(self) -> list[str]:
        """What the browser's console holds since this was last asked."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def media(self, media: str = "", **features: str) -> None:
        wanted = {"prefers_reduced_motion": "reduce"} | features
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in wanted.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": listed})

    def colour(self, selector: str = "body", of: str = "backgroundColor") -> str:
        return str(self.run(f"return getComputedStyle(document.querySelector('{selector}')).{of}"))


@pytest.fixture
def reader(chromium: Any) -> Iterator[Reader]:
    reader = Reader(chromium)
    reader.complaints()
    reader.media()
    yield reader
    assert reader.complaints() == []
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
