"""Links as QR codes, for the camera of a phone: an SVG file for a page, and text for a terminal."""

from __future__ import annotations

import io


def qr_svg(link: str) -> bytes:
    """Return a link as a QR code, an SVG file."""
    import segno

    file = io.BytesIO()
    segno.make(link, error="m").save(file, kind="svg", scale=4, border=3, light="white")
    return file.getvalue()


def qr_text(link: str) -> str:
    """Return a link as a QR code in text characters."""
    import segno

    text = io.StringIO()
    segno.make(link, error="l").terminal(text, compact=True)
    return text.getvalue()
