"""Write the tables of the documents that follow from the code.

    python docs/tables.py

A table stands between ``<!-- NAME: made by docs/tables.py -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vidtrans.training import LOSSES, METHODS

DOCS = Path(__file__).resolve().parent


def losses() -> str:
    """The weights of the losses."""
    rows = [
        (f"`{name}`", f"{loss.weight:g}", ", ".join(f"`{need}`" for need in loss.needs), loss.summary)
        for name, loss in LOSSES.items()
    ]
    return _table(("weight", "default", "needs", "of"), rows)


def methods() -> str:
    """The training methods."""
    rows = [
        (f"`{name}`", method.summary, ", ".join(f"`{own}`" for own in method.settings))
        for name, method in METHODS.items()
    ]
    return _table(("`method=`", "what it is", "settings of its own"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


TABLES = {"losses": losses, "methods": methods}


def filled(text: str) -> str:
    """A document with its tables as they are now."""
    return re.sub(
        r"(<!-- (\w+): made by docs/tables.py -->).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for page in DOCS.rglob("*.md"):
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
