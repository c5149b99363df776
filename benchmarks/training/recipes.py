"""Preset `fast` beside the paper's recipe, at equal wall time, on pictures that neither has seen.

    python -m benchmarks.training.recipes ../shared/data --cache DIR [--seconds 90] [--seeds 3] [--clips dog,facades]

Edges → photo at 128 pixels on three clips: PSNR, SSIM, sharpness (1 is the target's), flicker (1 is the clip's) and
gfd, the distance of texture and colour, on the blocks of frames that ``make-dataset`` holds out; and label → photo on
facades. The paper's recipe is the preset pix2pix with U-Net 128, 32 channels wide, in fp32, run as the paper tests and
in eval mode. The steps of each recipe come from trials in turns; what they took is printed. ``±`` is half of what lies
between the seeds. All that is done is kept in DIR, where sheets of pictures are written too: stop it, and the same
command goes on. What is not there is skipped, in a line.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.training.contenders import (
    ALIGNED,
    FAST,
    PAPER,
    PLATE,
    Case,
    Contender,
    Trained,
    kept,
    rendered,
    runs,
    train,
)
from benchmarks.training.measures import scores
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.training.set_up import use_huge_pages
from vidtrans.training.validation import pair_input
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.pictures import open_reader
from vidtrans.video.plots.layout import ContactSheet, cell_size

CLIPS = {"dog": "video/dog.mp4", "asl_walk": "video/asl_walk.mkv", "juggle": "video/juggle.mp4"}
FACADES = "pairs/facades_194"
# What a model of one clip is shown of others: none of it is the scene that it has learned.
ELSEWHERE = {"dog": 120, "juggle": 100, "flower": 90, "friday": 60, "wolf_512": 20, "asl_walk": 30}
TEACHER = "asl_walk"
ROWS = 4
COLUMNS = ("psnr", "ssim", "sharp", "flicker", "gfd", "grid")
Found = dict[str, list[Table]]  # of each column of contenders, a table a seed


def cases(data: Path, only: Sequence[str]) -> list[Case]:
    every = [Case(name, data / path, "edges", (PAPER, FAST, PLATE)) for name, path in CLIPS.items()]
    every.append(Case("facades", data / FACADES, "aligned", (PAPER, ALIGNED)))
    return [case for case in every if not only or case.name in only]


def measure(case: Case, options: argparse.Namespace) -> Found:
    """Train and score what is missing. Raises VidtransError."""
    found: Found = {}
    for seed in range(options.seeds):
        for contender in case.contenders:
            if options.only and contender.name not in options.only:
                continue
            for mode, table in measured(case, contender, seed, options).items():
                found.setdefault(mode, []).append(table)
                shown = "  ".join(f"{k} {v:.3f}" for k, v in table.items() if k in COLUMNS)
                print(f"{case.name:9} {mode:20} seed {seed}  {table['steps']} steps  {shown}", flush=True)
    return found


def measured(case: Case, contender: Contender, seed: int, options: argparse.Namespace) -> dict[str, Table]:
    """The scores of one run, for each way of running the network."""
    name = f"{case.name}-{contender.name}-{contender.recipe(case.pairing)}-{options.seconds:g}s-{seed}"

    def make() -> Table:
        trained = train(case, contender, seed, options.seconds, options.cache)
        return {label: score(trained, mode) for label, mode in contender.modes}

    return kept(options.cache / "results" / f"{name}.json", make)


def score(trained: Trained, mode: str) -> Table:
    stretches = [] if trained.pairing.needs_target else runs(trained.pairs)
    table = scores(trained.outputs(mode), trained.targets, stretches)
    return {"steps": trained.steps, "seconds": trained.seconds, **table}


def table_of(case: Case, found: Found) -> str:
    lines = [f"| {case.name} | steps | s | " + " | ".join(COLUMNS) + " |", "|" + "---|" * (len(COLUMNS) + 3)]
    for mode, tables in found.items():
        cells = [str(tables[0]["steps"]), f"{statistics.mean(t['seconds'] for t in tables):.0f}"]
        cells += [figure([t[c] for t in tables]) if c in tables[0] else "–" for c in COLUMNS]
        lines.append(f"| {mode} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def figure(values: Sequence[float]) -> str:
    digits = 2 if max(values) >= 2 else 3
    spread = (max(values) - min(values)) / 2
    return f"{statistics.mean(values):.{digits}f}" + (f" ±{spread:.{digits}f}" if len(values) > 1 else "")


def goals(results: dict[str, Found]) -> str:
    """What came of the goals, on those clips that were measured."""

    def mean(clip: str, mode: str, column: str) -> float:
        return statistics.mean(t[column] for t in results[clip].get(mode, [{column: float("nan")}]))

    clips = [c for c in results if c in CLIPS]
    lines = []
    if clips:
        old, new, plate = "paper, eval mode", "fast", "fast, plate"
        gains = {m: statistics.mean(mean(c, m, "psnr") - mean(c, old, "psnr") for c in clips) for m in (new, plate)}
        similar = min(mean(c, new, "ssim") - mean(c, old, "ssim") for c in clips)
        sharp = [mean(c, new, "sharp") for c in clips]
        steady = max(mean(c, new, "flicker") / mean(c, old, "flicker") for c in clips)
        lines += [
            verdict("fast: PSNR over eval mode, mean of clips, dB", gains[new], gains[new] >= 3),
            verdict("fast with a plate: the same", gains[plate], gains[plate] >= 5),
            verdict("fast: SSIM over eval mode, least of clips", similar, similar > 0),
            verdict("fast: least sharpness", min(sharp), min(sharp) >= 0.85),
            verdict("fast: largest sharpness", max(sharp), max(sharp) <= 1.05),
            verdict("fast: flicker over eval mode's, largest of clips", steady, steady <= 0.5),
        ]
    if "facades" in results:
        closer = mean("facades", "aligned", "gfd") / mean("facades", "paper, as it tests", "gfd")
        gain = mean("facades", "aligned", "psnr") - mean("facades", "paper, as it tests", "psnr")
        lines.append(verdict("facades: gfd over the paper's", closer, closer <= 0.75))
        lines.append(verdict("facades: PSNR over the paper's, dB", gain, gain >= 0))
    return "\n".join(lines) + "\n"


def verdict(words: str, value: float, met: bool) -> str:
    return f"{words:56} {value:7.3f}  {'met' if met else 'NOT MET'}"


def draw(case: Case, options: argparse.Namespace) -> None:
    """A sheet of a few held-out pictures, of the first seed: input, each contender's, target."""
    columns: dict[str, list[np.ndarray]] = {}
    for contender in case.contenders:
        if options.only and contender.name not in options.only:
            continue
        trained = train(case, contender, 0, options.seconds, options.cache)
        chosen = [(2 * k + 1) * len(trained.pairs) // (2 * ROWS) for k in range(ROWS)]
        if not columns:
            shown = [pair_input(trained.pairing, trained.pairs[i]) for i in chosen]
            columns["input"] = [trained.pairing.preview(picture) for picture in shown]
        for label, mode in contender.modes:
            outputs = trained.outputs(mode)
            columns[label] = [outputs[i] for i in chosen]
        targets = [trained.targets[i] for i in chosen]
    columns["target"] = targets
    rows = list(zip(*columns.values(), strict=True))
    title = f"{case.name}: held-out pictures after {options.seconds:g} s of training"
    sheet = ContactSheet(title, rows, cell_size(rows[0][-1], 320), tuple(columns)).draw()
    write_picture(options.cache / f"{case.name}.png", sheet)


def draw_elsewhere(options: argparse.Namespace) -> None:
    """A sheet of what a model of one clip makes of others. Raises VidtransError."""
    [case] = cases(options.data, [TEACHER])
    trained = train(case, FAST, 0, options.seconds, options.cache)
    size = min(trained.targets[0].shape[:2])
    rows, notes = [], []
    for name, number in ELSEWHERE.items():
        path = next(iter((options.data / "video").glob(f"{name}.*")), None)
        if path is None:
            print(f"skipped {name} elsewhere: no such clip", file=sys.stderr)
            continue
        with open_reader(path) as reader:
            frame = next(f.rgb for f in reader.frames(number, number + 1))
        scale = size / min(frame.shape[:2])
        frame = resize(frame, round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        shown = trained.pairing.input([frame])
        rows.append([frame, trained.pairing.preview(shown), rendered(trained.model, [shown])[0]])
        notes.append([name, "", ""])
    title = f"learned from {TEACHER}, shown other footage"
    sheet = ContactSheet(title, rows, (320, 240), ("frame", "input", "fast"), notes).draw()
    write_picture(options.cache / "elsewhere.png", sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data set: video, pairs")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for all that is made")
    parser.add_argument("--seconds", type=float, default=90, help="wall time of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--clips", default="", help=f"of {', '.join([*CLIPS, 'facades'])}; all, unless said")
    parser.add_argument("--only", default="", help="contenders, of paper, fast, plate, aligned")
    options = parser.parse_args()
    options.only = [name for name in options.only.split(",") if name]
    use_huge_pages()
    torch.set_num_threads(options.threads)
    results: dict[str, Found] = {}
    for case in cases(options.data, [name for name in options.clips.split(",") if name]):
        if not case.source.exists():
            print(f"skipped {case.name}: no {case.source}", file=sys.stderr, flush=True)
            continue
        try:
            results[case.name] = measure(case, options)
            draw(case, options)
        except VidtransError as error:
            print(f"skipped {case.name}: {error}", file=sys.stderr, flush=True)
    for name, found in results.items():
        print("\n" + table_of(next(c for c in cases(options.data, [name])), found))
    if not options.only:
        print(goals(results))
    if TEACHER in results and (not options.only or "fast" in options.only):
        draw_elsewhere(options)


if __name__ == "__main__":
    main()
