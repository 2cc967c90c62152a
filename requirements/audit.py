"""`python requirements/audit.py`: known faults in what the lock pins, asked of two services.

Ends with 0 if there are none, 1 if there are some, 2 if nothing could be asked: no answer is not a good one. Run by the
Python of an environment that has pip-audit (`make audit`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).with_name("lock.txt")
SERVICES = {"osv": "api.osv.dev", "pypi": "pypi.org"}
SECONDS = 900


def main() -> int:
    """Entry point; returns the exit code."""
    for service, host in SERVICES.items():
        found, reason = _ask(service)
        answered = [item for item in found if "vulns" in item]
        if answered:
            return _report(host, found, answered)
        print(f"{host} cannot be asked: {reason}")
    print(
        "Nothing was audited. Run this where the network reaches one of them; a mirror of the packages is not enough."
    )
    return 2


def _ask(service: str) -> tuple[list[dict[str, Any]], str]:
    """What is said of each package, and why nothing is where nothing is."""
    words = ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--no-deps", "--disable-pip", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return [], f"no answer in {SECONDS} s"
    except ValueError:
        return [], (done.stderr.strip().splitlines() or ["no word"])[-1][:300]
    reasons = [str(item.get("skip_reason", "")) for item in found]
    return found, reasons[0] if reasons else "it names no package"


def _report(host: str, found: list[dict[str, Any]], answered: list[dict[str, Any]]) -> int:
    faults = [(item, fault) for item in answered for fault in item["vulns"]]
    for item, fault in faults:
        mended = ", ".join(fault.get("fix_versions") or []) or "no version yet"
        print(f"{item['name']} {item['version']}: {fault['id']} (mended in {mended})")
    unknown = [item["name"] for item in found if item not in answered]
    print(f"{host}: {len(answered)} of {len(found)} packages known there, {len(faults)} known faults")
    if unknown:
        print(f"not known there, so not audited: {', '.join(unknown)}")
    return 1 if faults or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
