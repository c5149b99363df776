"""The temporal filter for pictures that some other program made."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from vidtrans.core.events import Report, Stop, silent
from vidtrans.library.frame_model import load_model
from vidtrans.library.given_pictures import check_frames
from vidtrans.library.opened_clip import OpenedClip
from vidtrans.models.model_file import IDENTITY
from vidtrans.store.cache import FOLDER


class DeflickeredFrames:
    """Pictures without flicker: iterate it once for each pass over ``frames``.

    ``for picture in Deflicker(processed, flow_from=source): …`` follows the motion of the source that the processed
    pictures were made from; without it, their own. Of an ``OpenedClip`` alone the pictures are those of
    ``vidtrans deflicker``.
    """

    def __init__(
        self,
        frames: OpenedClip | Iterable[Any],
        *,
        flow_from: Iterable[Any] | None = None,
        temporal: str = "window",
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        cache_dir: str | Path = FOLDER,
        report: Report = silent,
        stop: Stop | None = None,
    ) -> None:
        """Make a filter of pictures.

        Args:
            frames: a clip, or pictures (H, W, 3), uint8 or uint16, all of one size and type: arrays or tensors.
            flow_from: as many pictures, whose motion is followed.
            temporal: the filter: 'window', which looks some 15 frames ahead, or 'causal', which does not.
            settings: of the filter: ``{"strength": 0.5}``.
            device: 'auto', 'cuda', 'cuda:N', 'mps' or 'cpu'.
            cache_dir: the folder of intermediate results.
            report: called with progress and notes.
            stop: a request to stop, which raises ``Interrupted`` in an iteration.

        Raises:
            UsageError: There is no such filter, or it has no such setting, or ``frames`` are none.
        """
        check_frames(frames)
        self._frames, self._flow_from, self._stop = frames, flow_from, stop
        tables = {"temporal": {"name": temporal, **(settings or {})}, "rendering": {"size": "source"}}
        self._model = load_model(IDENTITY, settings=tables, device=device, cache_dir=cache_dir, report=report)

    def __iter__(self) -> Generator[Any, None, None]:
        """Yield the pictures, of the frames' kind. Raises UsageError if frames are no pictures, or differ in size."""
        return self._model.render(self._frames, flow_from=self._flow_from, stop=self._stop)
