"""Where the real clips are, with which some tests are run where they are."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
