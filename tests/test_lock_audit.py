"""`make audit` never takes silence for good news; pip-audit is scripted here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "requirements" / "audit.py"
FAKE = """
import json, os, sys
service = sys.argv[sys.argv.index("--vulnerability-service") + 1]
said = json.loads(os.environ["SAID"]).get(service)
if said is None:
    print("NameResolutionError: Failed to resolve the service", file=sys.stderr)
    sys.exit(1)
print(json.dumps({"dependencies": said, "fixes": []}))
"""
CLEAN = {"name": "one", "version": "1.0", "vulns": []}
FAULTY = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "three", "skip_reason": "Dependency not found on PyPI and could not be audited: three"}


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"osv": [CLEAN]}, 0, "1 of 1 packages known there, 0 known faults"),
        ({"pypi": [CLEAN]}, 0, "api.osv.dev cannot be asked: NameResolutionError"),
        ({"osv": [CLEAN, FAULTY]}, 1, "two 2.0: PYSEC-1 (mended in 2.1)"),
        ({"osv": [CLEAN, SKIPPED]}, 1, "not known there, so not audited: three"),
        ({"osv": [SKIPPED], "pypi": [SKIPPED]}, 2, "Nothing was audited."),
        ({}, 2, "Nothing was audited."),
    ],
)
def test_the_exit_code_says_what_was_found(tmp_path: Path, said: object, code: int, words: str) -> None:
    (tmp_path / "pip_audit.py").write_text(FAKE)
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "SAID": json.dumps(said)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout
