"""The embedded task needs no heavy library."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "tokenizers", "pyarrow", "pandas", "datasets")


def test_chain_questions_load_without_heavy_libraries() -> None:
    code = (
        "import sys; from prefix_rft.data import load; from prefix_rft.settings import ChainData; "
        "import prefix_rft.data.files; load(ChainData(train_questions=4)); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
