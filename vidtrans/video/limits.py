"""How large a picture may be: what is larger is refused before memory is taken for it."""

from __future__ import annotations

MAX_PIXELS = 8192 * 8192


MAX_PICTURE_BYTES = 512 * 1024 * 1024
