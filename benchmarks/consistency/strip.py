"""A strip for the docs: consecutive frames of the model that ships, before and after the window filter."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.consistency.cases import SIDE, Case, read_frames, square
from benchmarks.consistency.measure import FLOW
from benchmarks.consistency.methods import own
from benchmarks.consistency.store import Store
from benchmarks.consistency.trained import SHIPPED, render
from vidtrans.evaluation.score_report import WHITE, changes
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.metrics.motion import FlowPair
from vidtrans.models.model_file import find_model
from vidtrans.video.plots.layout import GAP, ContactSheet, blank

# Free to be shown (CC0), as the model is; a head turns, and its hair is made anew in each frame.
CLIP = "video/friday.mp4"
READ = 60  # frames from the first on: the window reaches to both sides of those that are shown
SHOWN = range(33, 39)
PLACE = (slice(80, 216), slice(20, 156))  # rows, columns
CELL = 224  # pixels a side
QUALITY = 70
KEY = f"(white: by {WHITE} levels of 255; slate: what cannot be followed)"


def draw(path: Path, data: Path, store: Store) -> None:
    """Write the strip, a JPEG or PNG by its name. Raises Missing."""
    guides = [square(frame, SIDE) for frame in read_frames(data / CLIP, 0, READ)]
    model = find_model(SHIPPED)
    assert model is not None
    processed = render(guides, model, store.folder / "strip")
    filtered = own("window").pictures(Case("strip", "styles", guides, processed), store)
    bands = [
        _row("each frame as the model makes it", processed),
        _row("the same frames through the window filter", filtered),
        _row(
            f"how each of the model's differs from the one before it, along the motion {KEY}",
            _changes(processed, guides),
        ),
        _row("how each of the filter's does", _changes(filtered, guides)),
    ]
    sheet = np.vstack([blank(bands[0].shape[1], GAP), *bands])
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _row(words: str, pictures: list[np.ndarray]) -> np.ndarray:
    """The part of each picture that is shown, side by side, under its words."""
    parts = [pictures[i][PLACE] for i in SHOWN]
    cells = [cv2.resize(p, (CELL, CELL), interpolation=cv2.INTER_CUBIC) for p in parts]
    return ContactSheet(words, [cells], (CELL, CELL)).draw()


def _changes(pictures: list[np.ndarray], guides: list[np.ndarray]) -> list[np.ndarray]:
    """For each frame where it differs from the one before, as the product's own sheets draw it."""
    method = FLOWS.load(FLOW)()
    made = [np.zeros_like(pictures[0])]
    for i in range(1, len(pictures)):
        if i in SHOWN:
            motion = FlowPair.between(grey(guides[i - 1]), grey(guides[i]), method)
            made.append(changes(pictures[i - 1], pictures[i], motion))
        else:
            made.append(made[0])
    return made
