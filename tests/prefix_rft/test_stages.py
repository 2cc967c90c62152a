"""Which run a run starts from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from prefix_rft.settings.method import MethodSettings, PrefixRftMethod, RftMethod, SftMethod, SftRftMethod
from prefix_rft.stages import before


def test_sft_then_rft_starts_from_sft() -> None:
    assert before(SftRftMethod()) == SftMethod()


@pytest.mark.parametrize("settings", [SftMethod(), RftMethod(), PrefixRftMethod()])
def test_the_others_start_from_the_base_model(settings: MethodSettings) -> None:
    assert before(settings) is None


def test_asking_does_not_import_torch() -> None:
    modules = "prefix_rft.stages, prefix_rft.schedule, prefix_rft.prefix"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
