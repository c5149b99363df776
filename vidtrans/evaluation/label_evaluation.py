"""Score label maps, or pictures that a network segments: pixel and class accuracy, mean IoU, label flicker.

Scores of pictures are pix2pix's FCN-score (Isola et al., CVPR 2017, section 3.2): pictures painted from label maps are
good if a segmentation network recovers the labels from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import MAX_QUOTED_CHARS, MediaError, UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.evaluation.scoring import COMMON_KEYS, AlignedSource, seconds, worst_frames, write_scores
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import BORDER, grid
from vidtrans.metrics import SHORT_SIDE
from vidtrans.metrics.consistency import FlowPair, round_digits
from vidtrans.metrics.label_scores import LabelCounts
from vidtrans.models.loaded_model import load_model
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pairing.palettes import with_palette_file
from vidtrans.rendering.extraction import Labeller
from vidtrans.session import Context
from vidtrans.video.images.picture import resize
from vidtrans.video.plots import FAINT, GAP, TEXT_PX, Chart, ChartCurve, blank_picture, text_band

VERSION = 1  # Version of the label scores, for digests
MAX_UNKNOWN = 0.001  # Share of pixels whose colour belongs to no class, above which a warning is given
MEASURES = ("pixel_accuracy", "class_accuracy", "mean_iou")  # Names of the measures that are plotted and reported
WIDTH_PX = 980  # Width of the plot, in pixels
ORANGE, BLUE = (255, 190, 70), (92, 160, 255)  # RGB colours of the plot's curves


def parse_classes(text: str) -> ClassColours:
    """Parse the option ``--labels`` to classes: a list of colours, a file with it, or a data set. Raises UsageError."""
    what, table = f"--labels {text[:MAX_QUOTED_CHARS]}", with_palette_file({"palette": text})
    try:
        classes = ClassColours(str(table["palette"]), str(table.get("ignore", "")))
        number = len(classes)
    except ValueError as error:
        why = str(error).partition(": ")[2]
        raise UsageError(what, why, "list colours: '#804080 #f423e8'") from None
    if number < 2:
        raise UsageError(what, f"it names {number} class", "name two classes or more")
    return classes


def labels_for_key(labels: str | None, labeller: str | None, context: Context) -> Table:
    """Return the label classes, or the segmentation model ``labeller``, that affect scores, for cache keys.

    The result is {} if labels are not scored.
    """
    if labels:
        classes = parse_classes(labels)
        return {"labels": [VERSION, classes.text, classes.ignore]}
    if labeller:
        return {"labeller": [VERSION, load_model(labeller, context).for_key()], "device": context.device_kind}
    return {}


class _Flicker:
    """Measures label flicker: the share of pixels whose label changes between frames along reliable motion.

    A label that is within a pixel in the previous frame has not changed, because borders move by fractions of pixels.
    """

    def __init__(self) -> None:
        self.changed = self.counted = 0
        self._last: np.ndarray | None = None

    def add(self, labels: np.ndarray, motion: FlowPair | None) -> None:
        """Add the labels of the next frame, (H, W), and the motion to it from the previous frame; None at a cut."""
        last, self._last = self._last, labels
        if last is None or motion is None:
            return
        places = grid(*motion.reliable.shape) + motion.there
        size = motion.reliable.shape[::-1]
        before, after = (_nearest(labels, size) for labels in (last, labels))
        moved = cv2.remap(after, places, None, cv2.INTER_NEAREST, borderMode=BORDER)
        counted = motion.reliable & (before >= 0) & (moved >= 0)
        self.counted += int(counted.sum())
        padded = np.pad(before, 1, mode="edge")
        height, width = before.shape
        around = (padded[y : y + height, x : x + width] for y in range(3) for x in range(3))
        unchanged = np.logical_or.reduce([moved == near for near in around])
        self.changed += int((counted & ~unchanged).sum())

    @property
    def share(self) -> float | None:
        """Return the share of compared pixels whose label changed; None if none was compared."""
        return self.changed / self.counted if self.counted else None


def labels_scorer(labels: str | None, labeller: str | None, context: Context) -> Callable[..., Table]:
    """Return the function that scores label maps, or pictures that the model ``labeller`` segments."""
    reader = Labeller.found(labeller, context) if labeller else None
    return partial(score_labels, reader.classes if reader else parse_classes(labels or ""), reader, context)


def score_labels(
    classes: ClassColours,
    labeller: Labeller | None,
    context: Context,
    output: Clip,
    reference: AlignedSource,
    source: AlignedSource | None,
    flow: str,
    result: Path | None,
) -> Table:
    """Return the scores of label maps, or of pictures segmented by ``labeller``, against ``reference`` label maps.

    With ``source``, flicker is measured along its motion. ``result``: a plot (.png), or all values (.json), to write.
    Raises UsageError, MediaError, Interrupted.
    """
    total = output.index.num_frames
    read = labeller.reader() if labeller else None
    counts: list[LabelCounts | None] = []
    flicker = _Flicker(), _Flicker()
    method, last, unknown, pixels = FLOWS.load(flow)(), None, 0, 0
    with ExitStack() as stack:
        outputs = stack.enter_context(closing(AlignedSource(output, range(total)).pictures(context)))
        truths = stack.enter_context(closing(reference.pictures(context)))
        sources = repeat(None) if source is None else stack.enter_context(closing(source.pictures(context)))
        for number, (picture, truth, source_picture) in enumerate(zip(outputs, truths, sources, strict=False)):
            height, width = picture.shape[:2]
            predicted = classes.labels(picture if read is None else read(picture), clean=True)
            truth_labels = classes.labels_at(truth, width, height)
            unknown, pixels = unknown + classes.count_unknown(truth), pixels + truth.shape[0] * truth.shape[1]
            is_known = number not in reference.missing
            counts.append(LabelCounts.of(predicted, truth_labels, len(classes)) if is_known else None)
            if source_picture is not None and source is not None:
                now = grey(_small(source_picture))
                is_followed = last is not None and last.shape == now.shape and not source.starts_shot(number)
                motion = FlowPair.between(last, now, method) if is_followed and last is not None else None
                flicker[0].add(predicted, motion)
                flicker[1].add(truth_labels, motion if is_known else None)
                last = now
            context.stop.check()
            context.report(Progress(f"scoring {output.name}", number + 1, total))
    if not any(frame.table.any() for frame in counts if frame):
        why = "none of its pixels has the colour of a class"
        raise MediaError(str(reference.clip.path), why, "name the colours in order: --labels '#rrggbb …'")
    if unknown > MAX_UNKNOWN * pixels:
        text = f"{unknown / pixels:.1%} of its pixels have a colour of no class, and are not scored"
        context.warn_once(f"{reference.clip.name}: {text}", reference.clip.path)
    whole = LabelCounts.total(frame for frame in counts if frame)
    series = {name: [round_digits(getattr(frame, name, None)) for frame in counts] for name in MEASURES}
    table = {
        "path": str(output.path),
        "frames": total,
        **dict.fromkeys(COMMON_KEYS),
        "labeller": labeller.model.name if labeller else None,
        "classes": classes.names,
        **{name: round_digits(getattr(whole, name)) for name in MEASURES},
        "class_ious": [round_digits(value) for value in whole.ious],
        "confusion": whole.table.tolist(),
        "permutation": whole.permutation,
        "label_flicker": round_digits(flicker[0].share),
        "label_flicker_reference": round_digits(flicker[1].share),
        "worst": worst_frames(series["mean_iou"], "mean_iou", output),
    }
    write_scores(result, table, series, lambda: _plot(table, series, output))
    return table


def _nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return labels scaled to a (width, height) by nearest neighbour, as float32."""
    return cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)


def _small(picture: np.ndarray) -> np.ndarray:
    """Return a picture scaled to the short side ``SHORT_SIDE``, unless it is smaller."""
    scale = min(1.0, SHORT_SIDE / min(picture.shape[:2]))
    return resize(picture, max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))


def _plot(table: Table, series: Mapping[str, Sequence[float | None]], output: Clip) -> np.ndarray:
    """Return a plot of the measures over time with the confusion matrix, (H, W, 3) uint8."""
    bands = [text_band(output.name, WIDTH_PX, size=TEXT_PX + 4)]
    words = [f"{name.replace('_', ' ')} {table[name]:.3f}" for name in ("mean_iou", "pixel_accuracy", "class_accuracy")]
    bands.append(text_band("   ".join(words), WIDTH_PX, colour=FAINT))
    if len(series["mean_iou"]) > 1:
        times = [seconds(output, n) for n in range(len(series["mean_iou"]))]
        curves = [
            ChartCurve("pixel accuracy", series["pixel_accuracy"], BLUE, 1),
            ChartCurve("mean IoU", series["mean_iou"], ORANGE, 2),
        ]
        chart = Chart("labels of each frame", curves, times, [], [moment["frame"] for moment in table["worst"]])
        bands += [blank_picture(WIDTH_PX, GAP), chart.draw(WIDTH_PX, 240)]
    return np.vstack([*bands, blank_picture(WIDTH_PX, GAP), _confusion(table, WIDTH_PX)])


def _confusion(table: Table, width: int) -> np.ndarray:
    """Draw the confusion matrix, (H, width, 3) uint8: rows are true classes, columns predicted classes."""
    counts, colours = np.array(table["confusion"]), [tuple(bytes.fromhex(c[1:])) for c in table["classes"]]
    shares = np.sqrt(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))  # Roots make small shares visible
    side = max(12, min(44, (width - 8 * GAP) // (len(colours) + 2)))
    picture = np.full((side * (len(colours) + 1) + GAP, width, 3), 20, np.uint8)

    def fill(row: int, column: int, colour: Sequence[int]) -> None:
        """Fill the cell of a row and a column with a colour."""
        top, left = side * row, GAP + side * column
        picture[top + 1 : top + side - 1, left + 1 : left + side - 1] = colour

    for k, colour in enumerate(colours):
        fill(k + 1, 0, colour)
        fill(0, k + 1, colour)
        for j, share in enumerate(shares[k]):
            level = round(255 * float(share))
            fill(k + 1, j + 1, (level // 3, level, level // 3) if j == k else (level, level // 2, level // 3))
    return picture
