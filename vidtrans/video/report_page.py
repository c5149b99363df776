"""Load Jinja templates of self-contained HTML pages, which extend one page, ``report_page.html``, and its style."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

Filter = Callable[..., object]  # A Jinja filter
DESIGN_FOLDER = Path(__file__).parents[1] / "web" / "page"  # Folder of ``design.css``, the style of all pages


@cache
def load_page(path: Path, **filters: Filter) -> Template:
    """Return the template in a file, with ``filters`` besides ``px`` and ``count`` of numbers. All text is escaped."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, DESIGN_FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"px": "{:.1f}".format, "count": "{:,}".format, **filters}
    return environment.from_string(path.read_text("utf-8"))
