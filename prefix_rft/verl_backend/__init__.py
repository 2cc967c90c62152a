"""The methods inside verl 0.9.1: agent loop, trainer, loss, launch; no rule is computed here (docs/verl.md)."""
