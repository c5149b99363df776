"""A model with a memory beside one that paints frame by frame, trained for the same time on the same frames.

    python -m benchmarks.dream.memory ../shared/data --cache DIR [--seconds 200] [--seeds 2] [--clips dog,juggle]

Presets `edges-video` and `fast` at 128 pixels learn the first three quarters of a clip; the last quarter is rendered by
both, without a filter and through the window. `E` is the warping error, in 1e-5, as `vidtrans evaluate` has it; L1 (of
100), PSNR and sharpness are those of the render against the clip. `blocks` is the L1 on the blocks of frames that
`make-dataset` holds out of the first three quarters, each rendered from its own first frame on; `alone` the same with
every frame painted without a past. Steps come from trials in turns. All that is done is kept in DIR.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks.training.contenders import FAST, SIZE, Case, Contender, Trained, kept, name_of, runs, train
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Size, Table
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import l1
from vidtrans.models.model_file import load_generator
from vidtrans.rendering.recurrence import RecurrentHistory
from vidtrans.temporal.stream import Sample
from vidtrans.training.set_up import use_huge_pages
from vidtrans.training.validation import pair_input
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture
from vidtrans.video.io.encoder import LosslessWriter
from vidtrans.video.io.pictures import open_reader

CLIPS = ("dog", "juggle")
MEMORY = Contender("memory", "edges-video", {}, (("edges-video", "eval"),))
SEEN = 0.75  # of a clip
COLUMNS = ("E", "l1", "psnr", "sharpness", "blocks", "alone")
DIGITS = {"E": 2, "l1": 2, "psnr": 2, "sharpness": 3, "blocks": 2, "alone": 2}


def pictures(path: Path, form: FrameFormat | None = None) -> list[np.ndarray]:
    with open_reader(path, form or FrameFormat()) as reader:
        return [frame.rgb for frame in reader.frames()]


def cut(clip: Path, cache: Path) -> tuple[Path, Path]:
    """The clip's first three quarters and its last, small and lossless."""
    parts = (cache / f"{clip.stem}-seen.nut", cache / f"{clip.stem}-unseen.nut")
    if not all(part.exists() for part in parts):
        frames = pictures(clip, FrameFormat(Size(short=SIZE)))
        at = round(SEEN * len(frames))
        for part, held in zip(parts, (frames[:at], frames[at:]), strict=True):
            with closing(LosslessWriter(part, held[0].shape[1], held[0].shape[0])) as writer:
                for frame in held:
                    writer.write(frame)
    return parts


def blocks(trained: Trained) -> tuple[float, float]:
    """The L1 of held-out pairs, as they are rendered and as each is painted alone."""
    generator, record = load_generator(trained.model)
    alone = statistics.mean(map(l1, trained.outputs("eval"), trained.targets))
    if not record.memory:
        return alone, alone
    engine, found = TorchEngine(generator, resolve_device("cpu")), []
    for stretch in runs(trained.pairs):
        memory = RecurrentHistory(record.memory["flow"])
        for i in stretch:
            pair = trained.pairs[i]
            frame = read_picture(pair.inputs[0])
            sample = Sample(i, i, frame, frame, starts_shot=i == stretch.start)
            sample.output = engine(memory.with_history(pair_input(trained.pairing, pair), sample)[None])[0]
            memory.keep(sample)
            found.append(l1(sample.output, read_picture(pair.target)))
    return statistics.mean(found), alone


def score(trained: Trained, unseen: Path, temporal: str, cache: Path) -> Table:
    output = trained.model.with_name(f"{trained.model.stem}-{temporal}.mkv")
    settings = {"temporal": {"name": temporal}, "encoding": {"codec": "ffv1"}}
    options = {"cache_dir": cache / "vidtrans", "device": "cpu", "overwrite": True}
    vidtrans.stylize(unseen, trained.model, output, settings=settings, **options)
    frames, made = pictures(unseen), pictures(output)
    scorer = Scorer()
    for number, (frame, picture) in enumerate(zip(frames, made, strict=True)):
        scorer.add(frame, picture, reference=frame, starts_shot=number == 0)
    found = scorer.scores().summary
    error = found["warping_error"]
    assert error is not None
    near = {"l1": 100 * statistics.mean(map(l1, made, frames)), "psnr": found["psnr"], "sharpness": found["sharpness"]}
    return {"E": 1e5 * error, **near}


def measured(case: Case, contender: Contender, seed: int, unseen: Path, options: argparse.Namespace) -> Table:
    """The scores of one run: of each filter a table. Raises VidtransError."""
    name = f"{name_of(case, contender)}-{options.seconds:g}s-{seed}"

    def make() -> Table:
        trained = train(case, contender, seed, options.seconds, options.cache)
        chained, alone = blocks(trained)
        held = {"blocks": 100 * chained, "alone": 100 * alone}
        both = {t: score(trained, unseen, t, options.cache) for t in ("off", "window")}
        return {"steps": trained.steps, "seconds": trained.seconds, "off": both["off"] | held, "window": both["window"]}

    return kept(options.cache / "results" / f"{name}.json", make)


def figure(values: Sequence[float], digits: int) -> str:
    spread = (max(values) - min(values)) / 2
    return f"{statistics.mean(values):.{digits}f}" + (f" ±{spread:.{digits}f}" if len(values) > 1 else "")


def row(name: str, tables: Sequence[Table], temporal: str) -> str:
    cells = [str(tables[0]["steps"]), f"{statistics.mean(t['seconds'] for t in tables):.0f}"]
    for column in COLUMNS:
        values = [t[temporal][column] for t in tables if column in t[temporal]]
        cells.append(figure(values, DIGITS[column]) if values else "–")
    return f"| {name}, {temporal} | " + " | ".join(cells) + " |"


def verdict(words: str, value: float, met: bool) -> str:
    return f"{words:64} {value:7.3f}  {'met' if met else 'NOT MET'}"


def goals(found: dict[str, list[Table]]) -> list[str]:
    def ratio(temporal: str, column: str) -> float:
        new, old = (statistics.mean(t[temporal][column] for t in found[n]) for n in ("memory", "fast"))
        return new / old

    steady, near = ratio("off", "E"), ratio("off", "blocks")
    window, window_l1 = ratio("window", "E"), ratio("window", "l1")
    return [
        verdict("no filter: warping error over the per-frame model's", steady, steady <= 0.7),
        verdict("no filter: L1 on held-out blocks over the per-frame model's", near, near <= 1),
        verdict("window: warping error over the window's alone", window, window <= 1),
        verdict("window: L1 over the window's alone", window_l1, window_l1 <= 1),
    ]


def main() -> int:
    use_huge_pages()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--clips", default=",".join(CLIPS))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    for name in options.clips.split(","):
        clip = options.data / "video" / f"{name}.mp4"
        if not clip.exists():
            print(f"{name}: not there, skipped")
            continue
        seen, unseen = cut(clip, options.cache)
        case = Case(name, seen, "edges", (FAST, MEMORY))
        found: dict[str, list[Table]] = {c.name: [] for c in case.contenders}
        try:
            for seed in range(options.seeds):
                for contender in case.contenders:
                    found[contender.name].append(measured(case, contender, seed, unseen, options))
        except VidtransError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"\n| {name} | steps | s | " + " | ".join(COLUMNS) + " |\n" + "|" + "---|" * (len(COLUMNS) + 3))
        for temporal in ("off", "window"):
            for contender in case.contenders:
                print(row(contender.name, found[contender.name], temporal))
        print("\n" + "\n".join(goals(found)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
