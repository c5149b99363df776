"""Load Jinja templates of self-contained HTML pages, which extend one shared style, ``report_page.css``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

Filter = Callable[..., object]  # A Jinja filter


def load_page(path: Path, filters: Mapping[str, Filter]) -> Template:
    """Return the template in a file, with ``filters``. All text is escaped; ``style`` is the shared style sheet."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= filters
    environment.globals["style"] = _style()
    return environment.from_string(path.read_text("utf-8"))


@cache
def _style() -> Markup:
    """Return the shared style sheet, marked as safe for HTML."""
    return Markup(Path(__file__).with_suffix(".css").read_text("utf-8"))
