"""What all tests share: real data and a browser where they are at hand, an environment without network or W&B."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SHARED_DATA_VARIABLE = "PREFIX_RFT_SHARED_DATA"

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")


LONGEST = (
    "tests/test_readme.py",
    "tests/experiments/test_interruptions.py",
    "tests/experiments/test_front_door.py",
    "tests/prefix_rft/local/test_conformance.py",
    "tests/prefix_rft/verl_backend/test_end_to_end.py",
    "tests/slurm/test_the_same_weights.py",
)
"""Files that take longest: begun last, they would leave all processes but one without work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, everything else in its order."""
    items.sort(key=lambda item: item.path.relative_to(ROOT).as_posix() not in LONGEST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real problems, demonstrations and labelled responses; it is not part of the project."""
    folder = Path(os.environ.get(SHARED_DATA_VARIABLE, ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set {SHARED_DATA_VARIABLE} to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser without a network, at 1200 by 900."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("needs Chromium: apt-get install -y --no-install-recommends chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: the dev extra")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    browser = webdriver.Chrome(options=options, service=service)
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    yield browser
    browser.quit()
