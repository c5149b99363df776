"""Propagate painted key frames through a clip, and yield the frames as pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from math import inf
from numbers import Integral
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np

from vidtrans.config.recipe import make_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Report, Stop, ignore_event
from vidtrans.core.files import CACHE_FOLDER
from vidtrans.core.settings import Time
from vidtrans.library.opened_clip import OpenedClip, with_stop_message
from vidtrans.library.picture_arrays import copy_to_array
from vidtrans.propagation.propagating import PaintingJob, render_painted
from vidtrans.propagation.requests import PropagateRequest
from vidtrans.session import Context
from vidtrans.video.images.picture import write_picture


class Propagator:
    """A clip rendered in the style of its painted key frames, as by ``vidtrans propagate``; iterate over its frames.

    The first pass trains a network on the key frames, unless ``minutes`` is 0. The network is stored in the cache
    folder for later passes; nothing else is written.
    """

    def __init__(
        self,
        clip: OpenedClip,
        key_frames: Mapping[int, Any] | str | Path,
        *,
        minutes: float | None = None,
        follow: str = "auto",
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        device: str = "auto",
        cache_dir: str | Path = CACHE_FOLDER,
        report: Report = ignore_event,
        stop: Stop | None = None,
    ) -> None:
        """Create a propagator of painted key frames (pictures by frame number, or a folder) through a clip.

        Args:
            clip: a clip from ``open_clip``, or a slice of it.
            key_frames: the painted pictures by frame number in ``clip``; or a folder of them, as for
                ``vidtrans propagate``.
            minutes: the training time; 0 uses motion alone; None uses the recipe's number of steps.
            follow: 'motion', 'look' or 'auto'.
            settings: as in a preset: ``{"training": {"steps": 500}}``.
            device: 'auto', 'cuda', 'cuda:N', 'mps' or 'cpu'.
            cache_dir: the folder of intermediate results.
            report: called with progress and notes.
            stop: a request to stop, which raises ``Interrupted`` in an iteration.

        Raises:
            UsageError: A key frame is no picture or not in the clip, or options conflict.
        """
        self._clip = clip
        self._key_frames = key_frames if isinstance(key_frames, str | Path) else _copy_key_frames(clip, key_frames)
        if minutes is not None and not 0 <= minutes < inf:
            raise UsageError(f"minutes {minutes}", "it is no length of time", "give 0 or more, or leave it out")
        numbers, recipe = clip.frames, make_recipe(None, "painted", settings or {})
        self._request = PropagateRequest(clip.path, Path(), recipe, minutes=minutes, follow=follow)
        if len(numbers) < clip.clip.index.num_frames:
            start, end = Time(frame=numbers.start), Time(frame=numbers.stop)
            self._request = replace(self._request, start=start, end=end)
        self._context = Context(cache_dir=Path(cache_dir), device=device, report=report, stop=stop or Stop())

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the rendered frames of the clip in order, (H, W, 3) each."""
        again = "iterate again, with another Stop: a training continues where it stopped"
        with with_stop_message("no further pictures are made", again), ExitStack() as stack:
            # Not a TemporaryDirectory, which would warn when the garbage collector ends an iteration.
            temporary = Path(mkdtemp(prefix="vidtrans-"))
            stack.callback(rmtree, temporary, ignore_errors=True)
            folder = self._key_frames
            if not isinstance(folder, str | Path):
                folder = self._write_key_frames(temporary / "keys", folder)
            # The dataset and the network of this pass are written into the folder of the output.
            output = temporary / f"{self._clip.path.stem}.mkv"
            request = replace(self._request, keyframes=Path(folder), output=output)
            job = stack.enter_context(closing(PaintingJob(request, self._context, time.monotonic())))
            job.check()
            job.maps.find()
            with closing(render_painted(job).pictures()) as pictures:
                yield from (picture for _, picture in pictures)

    def _write_key_frames(self, folder: Path, key_frames: Mapping[int, np.ndarray]) -> Path:
        """Write the key frames to ``folder``, named by their frame numbers in the whole clip; return the folder."""
        folder.mkdir()
        for number, picture in key_frames.items():
            write_picture(folder / f"{self._clip.frames[number]:06d}.png", picture)
        return folder


def _copy_key_frames(clip: OpenedClip, key_frames: Mapping[int, Any]) -> dict[int, np.ndarray]:
    """Return copies of the key frames by number, which later changes to the originals do not affect."""
    if not key_frames:
        raise UsageError("key frames", "there are none", "give painted pictures by the number of their frame")
    for number in key_frames:
        if not isinstance(number, Integral) or not 0 <= number < len(clip):
            why = f"the clip has {count(len(clip), 'frame')}"
            raise UsageError(f"key frame {number}", why, "give whole numbers counted from 0")
    return {int(number): copy_to_array(picture, f"key frame {number}") for number, picture in key_frames.items()}
