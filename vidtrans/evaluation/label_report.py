"""The scores of label maps as text, as a file of values, and as a plot with the table of confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.core.files import write_json
from vidtrans.core.settings import Table
from vidtrans.evaluation.scoring import seconds
from vidtrans.video.images.picture import write_picture
from vidtrans.video.plots import FAINT, GAP, TEXT_PX, Chart, ChartCurve, blank, text_band

WIDTH = 980  # pixels
ORANGE, BLUE = (255, 190, 70), (92, 160, 255)


def label_rows(table: Table) -> list[str]:
    """Return the scores as rows of text."""
    names = ("pixel_accuracy", "class_accuracy", "mean_iou")
    rows = [f"  {name.replace('_', ' ').replace('iou', 'IoU'):18}{table[name]:.4f}" for name in names]
    for colour, iou in zip(table["classes"], table["class_ious"], strict=True):
        rows.append(f"    {colour:16}{'in neither' if iou is None else f'{iou:.4f}'}")
    if table["label_flicker"] is not None:
        true = table["label_flicker_reference"]
        own = "" if true is None else f"{true:.4f} of the true ones"
        rows.append(f"  {'label flicker':18}{table['label_flicker']:.4f}   {own}")
    if table["permutation"]:
        order = " ".join(map(str, table["permutation"]))
        rows.append(
            f"  classes seem to be exchanged: in the place of 0, 1 … it has {order}; another order of --labels?"
        )
    return rows


def write_report(path: Path, table: Table, series: Mapping[str, Sequence[float | None]], output: Clip) -> None:
    """Write all values (.json), or a plot over time with the table of confusion (.png)."""
    if path.suffix.lower() == ".json":
        write_json(path, table | {"series": series}, indent=1)
        return
    bands = [text_band(output.name, WIDTH, size=TEXT_PX + 4)]
    words = [f"{name.replace('_', ' ')} {table[name]:.3f}" for name in ("mean_iou", "pixel_accuracy", "class_accuracy")]
    bands.append(text_band("   ".join(words), WIDTH, colour=FAINT))
    if len(series["mean_iou"]) > 1:
        times = [seconds(output, n) for n in range(len(series["mean_iou"]))]
        curves = [
            ChartCurve("pixel accuracy", series["pixel_accuracy"], BLUE, 1),
            ChartCurve("mean IoU", series["mean_iou"], ORANGE, 2),
        ]
        chart = Chart("labels of each frame", curves, times, [], [moment["frame"] for moment in table["worst"]])
        bands += [blank(WIDTH, GAP), chart.draw(WIDTH, 240)]
    bands.append(blank(WIDTH, GAP))
    bands.append(_confusion(table, WIDTH))
    write_picture(path, np.vstack(bands))


def _confusion(table: Table, width: int) -> np.ndarray:
    """Draw the table of confusion, (H, width, 3) uint8: rows are true classes, columns what was found."""
    counts, colours = np.array(table["confusion"]), [tuple(bytes.fromhex(c[1:])) for c in table["classes"]]
    shares = np.sqrt(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))  # small confusions are to be seen
    side = max(12, min(44, (width - 8 * GAP) // (len(colours) + 2)))
    picture = np.full((side * (len(colours) + 1) + GAP, width, 3), 20, np.uint8)

    def fill(row: int, column: int, colour: Sequence[int]) -> None:
        top, left = side * row, GAP + side * column
        picture[top + 1 : top + side - 1, left + 1 : left + side - 1] = colour

    for k, colour in enumerate(colours):
        fill(k + 1, 0, colour)
        fill(0, k + 1, colour)
        for j, share in enumerate(shares[k]):
            level = round(255 * float(share))
            fill(k + 1, j + 1, (level // 3, level, level // 3) if j == k else (level, level // 2, level // 3))
    return picture
