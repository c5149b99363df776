"""The page of a folder of packs: one self-contained HTML file from the Jinja template ``pack_page.html``."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Template
from markupsafe import Markup

from vidtrans.models.packs.pack_contents import checked_thumbnail, use
from vidtrans.models.packs.packed_model import OpenedPack
from vidtrans.video.report_page import Filter, load_page


def render_page(packs: Sequence[OpenedPack], title: str) -> str:
    """Return the page of ``packs``, which links to their files in its own folder. All text is escaped."""
    return _template().render(packs=packs, title=title)


@cache
def _template() -> Template:
    filters: dict[str, Filter] = {
        "picture": _picture,
        "link": lambda pack: quote(pack.path.name),
        "megabytes": lambda size: f"{size / 1e6:.1f} MB",
        "use": use,
    }
    return load_page(Path(__file__).with_suffix(".html"), filters)


def _picture(pack: OpenedPack) -> Markup:
    """Return the thumbnail of a pack as a data URI; '' without one."""
    data = checked_thumbnail(pack.thumbnail)
    return Markup(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data else "")
