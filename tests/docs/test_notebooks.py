"""The notebooks in examples/: clean, and their calls fit the functions. ``nox -s notebooks`` runs them."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import vidtrans

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
ON_SITE = "https://github.com/vidtrans/vidtrans/blob/main/"


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean_its_calls_fit_the_functions_and_its_links_lead_to_pages(path: Path) -> None:
    code = cells(path, "code")
    assert [cell["source"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert sum("parameters" in cell["metadata"].get("tags", ()) for cell in code) == 1
    nodes = [node for cell in code for node in ast.walk(ast.parse("".join(cell["source"])))]
    calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func).startswith("vidtrans.")]
    for call in calls:
        signature = inspect.signature(getattr(vidtrans, ast.unparse(call.func).removeprefix("vidtrans.")))
        signature.bind(*call.args, **{str(keyword.arg): None for keyword in call.keywords})
    assert len(calls) > 3
    text = "".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    linked = [part.partition(")")[0] for part in text.split(f"]({ON_SITE}")[1:]]
    assert linked
    assert [page for page in linked if not (ROOT / page).is_file()] == []
