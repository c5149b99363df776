"""Benchmarks: see README.md. Run from the root of the checkout, as ``python -m benchmarks.speed.engine``."""

import os
from pathlib import Path

# Child processes run in folders of their own; they import what this process does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command line does
