"""The table [rendering] of a recipe: the options of all stages of a render, joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.core.settings import SMALLEST_SIDE, Table, to_table
from vidtrans.curves.curve import files_in, with_curve_files_at, with_other_files
from vidtrans.pipeline.render import RENDER

if TYPE_CHECKING:
    from vidtrans.pipeline.blend import BlendSettings
    from vidtrans.pipeline.enlarge import EnlargeSettings
    from vidtrans.pipeline.infer import InferSettings
    from vidtrans.pipeline.read import ReadSettings

    # What other modules read by name. The options of further stages are read by their stage alone.
    class _Joined(BlendSettings, EnlargeSettings, InferSettings, ReadSettings):
        pass
else:  # a class has the fields of its last base first
    _Joined = type("_Joined", tuple(stage.Settings for stage in reversed(RENDER)), {})


@dataclass(frozen=True)
class RenderingSettings(_Joined):
    """Settings of a render: working size, chunks, precision, and the strength and place of the style over time."""

    def curve_files(self) -> list[Path]:
        """Return the files that curves read: a sound, and files of values. Raises UsageError."""
        own = [Path(self.sound)] if self.sound else []
        shares = [Path(file) for file in files_in(self.look)]  # of looks, which may move
        return list(dict.fromkeys([*own, *super().curve_files(), *shares]))

    def for_extractor(self, size: int) -> RenderingSettings:
        """Return the settings of the network that makes the input of a model which is rendered with these settings.

        ``size``: the short side in pixels of its frames; 0: its own.
        """
        side = str(max(size, SMALLEST_SIDE)) if size else "auto"
        return RenderingSettings(
            size=side, chunk_frames=self.chunk_frames, engine=self.engine, precision=self.precision
        )

    def for_key(self) -> Table:
        """Return the settings that affect the output, for cache keys; equal curves have equal texts.

        Not what curves hear or read: the keys of renders have the values that come of it.
        """
        curves = {name: str(curve) for name, curve in self.curves().items()}
        return to_table(self) | curves | {"sound": ""} | self.engine_plugin


def look_named(tables: Mapping[str, Table]) -> str:
    """Return the ``rendering.look`` of a recipe's tables, unchecked; '' without one."""
    return str(tables.get("rendering", {}).get("look", ""))


def with_files_at(table: Table, change: Callable[[Path], str]) -> Table:
    """Return a table [rendering] with ``change(path)`` in place of each file that curves hear or read."""
    found = with_curve_files_at(RenderingSettings, dict(table), change)
    if files_in(str(table.get("look", ""))):
        found["look"] = with_other_files(table["look"], change)
    return found | ({"sound": change(Path(table["sound"]))} if table.get("sound") else {})
