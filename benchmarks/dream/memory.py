"""A model with a memory beside one that paints frame by frame, trained for the same time on the same frames.

    python -m benchmarks.dream.memory DATA --cache DIR [--seconds 200] [--seeds 2] [--clips dog,juggle]

Presets `edges-video` and `fast` at 128 pixels learn the first three quarters of a clip; the last quarter is rendered by
both, without a filter and through the window. `E` is the warping error, in 1e-5, as `vidtrans evaluate` has it; L1 (of
100), PSNR and sharpness are those of the render against the clip. Below each table: the ratios of the first to the
second. Steps come from trials in turns. All that is done is kept in DIR.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import vidtrans
from benchmarks import harness
from benchmarks.clips import LOSSLESS, read_frames
from benchmarks.store import Store
from benchmarks.tables import head, row
from benchmarks.trainings import Contender, equal_steps, learner, shared_options, timed_training
from vidtrans.core.machine import use_huge_pages
from vidtrans.core.settings import Table
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import l1
from vidtrans.video.io.encoder import LosslessWriter

SIZE = 128  # pixels, of the short side
CONTENDERS = (Contender("memory", "edges-video"), Contender("fast", "fast"))
SEEN = 0.75  # of a clip
FILTERS = ("off", "window")
COLUMNS = {"E": 2, "l1": 2, "psnr": 2, "sharpness": 3}  # with their digits


def cut(clip: Path, cache: Path) -> tuple[Path, Path]:
    """Return the clip's first three quarters and its last, small and lossless. Raises Missing."""
    parts = (cache / f"{clip.stem}-seen.nut", cache / f"{clip.stem}-unseen.nut")
    if not all(part.exists() for part in parts):
        frames = read_frames(clip, short=SIZE)
        at = round(SEEN * len(frames))
        for part, held in zip(parts, (frames[:at], frames[at:]), strict=True):
            with closing(LosslessWriter(part, held[0].shape[1], held[0].shape[0])) as writer:
                for frame in held:
                    writer.write(frame)
    return parts


def score(model: Path, unseen: Path, temporal: str, cache: Path) -> Table:
    """Return the scores of a render of the frames that were not learned from."""
    output = model.with_name(f"{model.stem}-{temporal}.mkv")
    settings = {"temporal": {"name": temporal}, "encoding": LOSSLESS}
    vidtrans.stylize(unseen, model, output, settings=settings, **shared_options(cache))
    frames, made, scorer = read_frames(unseen), read_frames(output), Scorer()
    for number, (frame, picture) in enumerate(zip(frames, made, strict=True)):
        scorer.add(frame, picture, reference=frame, starts_shot=number == 0)
    found = scorer.scores().summary
    near = {"l1": 100 * statistics.mean(map(l1, made, frames)), "psnr": found["psnr"], "sharpness": found["sharpness"]}
    return {"E": 1e5 * (found["warping_error"] or 0.0), **near}


def measure(clip: Path, options: argparse.Namespace) -> dict[str, list[Table]]:
    """Return of each contender the scores of each seed, by filter. Raises Missing, VidtransError."""
    store, cache = Store(options.cache), options.cache
    seen, unseen = cut(clip, cache)
    learners = {}
    for contender in CONTENDERS:
        folder, settings = cache / f"{clip.stem}-{contender.name}.dataset", contender.settings(SIZE)
        vidtrans.make_dataset(seen, folder, preset=contender.preset, settings=settings, **shared_options(cache))
        learners[contender.name] = learner(folder, contender.preset, settings, cache)
    key = f"{options.seconds:g}s-" + "-".join(contender.digest(SIZE) for contender in CONTENDERS)
    steps = store.table(f"{clip.stem}-steps", key, lambda: equal_steps(learners, options.seconds, cache))

    def make(name: str, seed: int) -> Table:
        model = cache / f"{clip.stem}-{name}-{key}-{seed}.safetensors"
        seconds = timed_training(learners[name], model, steps[name], seed)["seconds"]
        scores = {temporal: score(model, unseen, temporal, cache) for temporal in FILTERS}
        return {"steps": steps[name], "seconds": seconds, **scores}

    return {
        name: [
            store.table(f"{clip.stem}-{name}-{seed}", key, lambda name=name, seed=seed: make(name, seed))
            for seed in range(options.seeds)
        ]
        for name in learners
    }


def show(clip: str, found: dict[str, list[Table]]) -> None:
    def mean(name: str, temporal: str, column: str) -> float:
        return statistics.mean(table[temporal][column] for table in found[name])

    print()
    head(clip, "steps", "s", *COLUMNS)
    for temporal in FILTERS:
        for name, tables in found.items():
            seconds = f"{statistics.mean(t['seconds'] for t in tables):.0f}"
            cells = [harness.mean_spread([t[temporal][c] for t in tables], d) for c, d in COLUMNS.items()]
            row(f"{name}, {temporal}", tables[0]["steps"], seconds, *cells)
    names: Sequence[str] = [contender.name for contender in CONTENDERS]
    for temporal in FILTERS:
        over = {c: mean(names[0], temporal, c) / mean(names[1], temporal, c) for c in ("E", "l1")}
        print(f"{temporal}: {names[0]} over {names[1]}: E {over['E']:.3f}, L1 {over['l1']:.3f}", flush=True)


def main() -> None:
    use_huge_pages()
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--seconds", type=float, default=200, help="wall time of each training")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--clips", type=harness.comma_list, default=["dog", "juggle"])
    options = parser.parse_args()
    harness.each(options.clips, lambda clip: show(clip, measure(options.data / "video" / f"{clip}.mp4", options)))


if __name__ == "__main__":
    harness.run(main)
