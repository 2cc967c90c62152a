"""lighteval as a second opinion: our samples through an independent harness, in an environment of its own.

`environment` finds or makes that environment, `export` writes what lighteval reads, `run` starts it, `compare` sets
its numbers beside ours, `general` runs the multiple-choice benchmarks through it. `replay`, `host` and `documents` run
inside lighteval's environment and import nothing of this project.
"""
