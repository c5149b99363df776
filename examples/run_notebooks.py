"""Run the notebooks in examples/notebooks, and write each as a page: ``python examples/run_notebooks.py pages``.

With ``--small`` they run in minutes, to see that they run: a few steps, a second of film. Needs
``vidtrans[notebooks]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

NOTEBOOKS = Path(__file__).with_name("notebooks")
SMALL = {"SIZE": 64, "STEPS": 6, "STEPS_OF_VARIANTS": 2, "MINUTES": 0.02, "END": "1s"}
CELL_S = 1800  # of one cell, at most


def with_parameters(notebook: Any, values: dict[str, Any]) -> Any:  # noqa: ANN401  (nbformat's)
    """Add a cell that sets those of the names in the cell tagged 'parameters' that ``values`` has, behind it."""
    at = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    lines = [f"{name} = {value!r}" for name, value in values.items() if f"{name} = " in notebook.cells[at].source]
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell("\n".join(lines)))
    return notebook


def run(path: Path, pages: Path, *, small: bool) -> Path:
    """Run a notebook in a folder of its own; return the page with all that it showed. Raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    if small:
        notebook = with_parameters(notebook, SMALL)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=CELL_S, resources={"metadata": {"path": folder}}).execute()
    page = pages / f"{path.stem}.html"
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], "utf-8")
    return page


def main() -> None:
    """Run all, or those that are named."""
    parser = argparse.ArgumentParser(description="Run the notebooks, and write each as a page.")
    parser.add_argument("pages", type=Path, help="the folder of the pages")
    parser.add_argument("names", nargs="*", help="notebooks, without .ipynb")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    given.pages.mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not given.names or path.stem in given.names:
            print(run(path, given.pages, small=given.small))


if __name__ == "__main__":
    main()
