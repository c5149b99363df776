"""The generated pages: one file for each subject; ``docs/generate.py`` writes them."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
PACKAGE = DOCS.parent / "vidtrans"
