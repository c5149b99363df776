"""The text and the thumbnail of a pack."""

from __future__ import annotations

import io

import numpy as np

from vidtrans.core.costs import count
from vidtrans.core.system import command_line
from vidtrans.models.formats import PACK_SUFFIX
from vidtrans.models.packs.packed_model import PackFacts
from vidtrans.video.images.picture import resize

THUMBNAIL_PX = 640  # the longer side
QUALITY = 88


def about_text(facts: PackFacts, more: str) -> str:
    """Return the README of a pack as Markdown; ``more`` is the author's own text."""
    size = f"{facts.size / 1e6:.1f} MB, SHA-256 {facts.sha256}"
    rows = [
        *([f"- Author: {facts.author}"] if facts.author else []),
        f"- Licence: {facts.licence or 'none is named: ask its author before you use it'}",
        f"- Network: {facts.network}, from pictures of {count(facts.short_side, 'pixel')} on the short side",
        f"- Input: pairing '{facts.pairing}'",
        f"- Model file: {size}",
    ]
    made = f"\n## How it was made\n\n```sh\n{facts.command}\n```\n" if facts.command else ""
    notes = f"{facts.notes.strip()}\n\n" if facts.notes.strip() else ""
    own = f"{more.strip()}\n\n" if more.strip() else ""
    usage = f"## Use\n\n```sh\n{use(facts, facts.name + PACK_SUFFIX)}\n```"
    return f"# {facts.name}\n\n{notes}{own}" + "\n".join(rows) + f"\n\n{usage}\n{made}"


def use(facts: PackFacts, file: str) -> str:
    """Return the commands that take the pack in a ``file`` and render with its model."""
    add = command_line(["vidtrans", "model", "add", file])
    return f"{add}\n{command_line(['vidtrans', 'stylize', 'VIDEO', '--model', facts.name])}"


def thumbnail_of(rgb: np.ndarray) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as a JPEG of at most ``THUMBNAIL_PX`` pixels on its longer side."""
    from PIL import Image

    height, width = rgb.shape[:2]
    scale = min(1.0, THUMBNAIL_PX / max(height, width))
    small = resize(rgb, max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else rgb
    file = io.BytesIO()
    Image.fromarray(small).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def checked_thumbnail(data: bytes) -> bytes:
    """Return a stranger's thumbnail as a JPEG of our own; b'' if it is no picture of a usual size."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if max(picture.size) > 4 * THUMBNAIL_PX:
                return b""
            return thumbnail_of(np.asarray(picture.convert("RGB")))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b""
