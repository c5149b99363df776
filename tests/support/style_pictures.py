"""Pictures whose styles are predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidtrans.video.images.picture import write_picture


def style_pictures() -> dict[str, np.ndarray]:
    """Return broad stripes in two colours, and fine chequers in two others, (96, 128, 3) uint8."""
    stripes, chequers = np.zeros((96, 128, 3), np.uint8), np.zeros((96, 128, 3), np.uint8)
    stripes[:] = (240, 190, 40)
    stripes[:, ::16] = stripes[:, 1::16] = stripes[:, 2::16] = (20, 30, 90)
    chequers[:] = (30, 90, 60)
    chequers[np.indices((96, 128)).sum(axis=0) % 8 < 4] = (230, 240, 220)
    return {"stripes": stripes, "chequers": chequers}


def write_style_pictures(folder: Path) -> tuple[Path, Path]:
    """Write both into a folder."""
    for name, picture in style_pictures().items():
        write_picture(folder / f"{name}.png", picture)
    return folder / "stripes.png", folder / "chequers.png"
