"""Whether the disk will do, said while there is time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vidtrans.files import folder_bytes

GB = 1e9


class DiskForecast:
    """What is written below ``folders`` while ``frames`` are made, and then the result, as large as the last one."""

    def __init__(self, folders: Sequence[Path], frames: int) -> None:
        self.folders, self.frames = folders, frames
        self._before = self._sizes()

    def _sizes(self) -> list[int]:
        return [folder_bytes(folder) for folder in self.folders]

    def shortfall(self, made: int) -> str | None:
        """After ``made`` frames: what is needed for the rest and what there is, in words; None where that does."""
        with suppress(OSError):
            grown = [now - before for now, before in zip(self._sizes(), self._before, strict=True)]
            needed = sum(grown) / made * (self.frames - made) + grown[-1] / made * self.frames
            free = shutil.disk_usage(self.folders[-1]).free
            if needed > free:
                return f"about {needed / GB:.1f} GB are needed for the rest, {max(0, free) / GB:.1f} GB are free"
        return None
