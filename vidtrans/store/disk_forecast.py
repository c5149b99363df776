"""Estimate the remaining disk use, to warn before the disk fills."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vidtrans.core.files import folder_bytes

GB = 1e9


class DiskForecast:
    """Measures how ``folders`` grow while ``frames`` frames are rendered; the result gets as large as the last one."""

    def __init__(self, folders: Sequence[Path], frames: int) -> None:
        self.folders, self.frames = folders, frames
        self._before = self._sizes()

    def _sizes(self) -> list[int]:
        return [folder_bytes(folder) for folder in self.folders]

    def shortfall(self, made: int) -> str | None:
        """Return a text with the GB needed for the rest, and free, after ``made`` frames; None if the disk has room."""
        with suppress(OSError):
            grown = [now - before for now, before in zip(self._sizes(), self._before, strict=True)]
            needed = sum(grown) / made * (self.frames - made) + grown[-1] / made * self.frames
            free = shutil.disk_usage(self.folders[-1]).free
            if needed > free:
                return f"about {needed / GB:.1f} GB are needed for the rest, {max(0, free) / GB:.1f} GB are free"
        return None
