"""Label maps out of rendered clips whose labels are known: how true are they on frames that were held out, how steady?

    python -m benchmarks.labels.bench --cache DIR [--minutes 10] [--scenes street,table]

A model of preset `segment` learns the first three quarters of a scene (``benchmarks.labels.scenes``) in `--minutes`.
`held out` is the mean IoU of blocks of frames inside of these quarters, `unseen` that of the last quarter, in which the
street has a car that fills half of the picture; without the filter and with `--temporal vote`. Flicker is the share of
labels that change along the motion; `own`: of the true labels.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import vidtrans
from benchmarks import harness
from benchmarks.labels.scenes import FRAMES, SCENES, SIZE
from benchmarks.tables import head, row

SEEN = FRAMES * 3 // 4


def made(name: str, cache: Path) -> Path:
    """Return the clip of a scene, rendered once."""
    clip = cache / f"{name}.mp4"
    if not (cache / f"{name}.true").is_dir():
        SCENES[name].write(cache)
        (cache / f"{name}.true").mkdir()
        for path in sorted((cache / f"{name}.labels").iterdir())[SEEN:]:
            shutil.copy(path, cache / f"{name}.true")
    return clip


def compare(name: str, minutes: float, cache: Path) -> None:
    """Train on a scene, and print its row."""
    clip, colours = made(name, cache), SCENES[name].palette
    folder, model = cache / f"{name}.dataset", cache / f"{name}-{minutes:g}.safetensors"
    settings = {"dataset": {"size": str(SIZE[1])}, "pairing": {"name": "segment", "palette": colours}}
    keep = {"cache_dir": cache / ".vidtrans"}
    vidtrans.make_dataset([clip], folder, target=cache / f"{name}.labels", end=SEEN, settings=settings, **keep)
    trained = vidtrans.train(folder, model, minutes=minutes, **keep)
    cells: list[object] = [name, trained["steps"], trained["held_out"]["mean_iou"]]
    scores = []
    for temporal in ("off", "vote"):
        found = cache / f"{name}-{minutes:g}.{temporal}"
        options = {"temporal": {"name": temporal}, "encoding": {"codec": "png"}}
        vidtrans.stylize(clip, str(model), found, start=SEEN, settings=options, overwrite=True, **keep)
        scores.append(
            vidtrans.evaluate(found, clip, reference=cache / f"{name}.true", labels=colours, start=SEEN, **keep)
        )
    plain, voted = scores
    cells += [score["mean_iou"] for score in scores]
    cells += [score["label_flicker"] for score in scores]
    cells += [plain["label_flicker_reference"], f"{1 - voted['label_flicker'] / plain['label_flicker']:.0%}"]
    row(*cells)


def main() -> None:
    """Run the benchmark."""
    parser = harness.parser(__doc__, cache=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="of training [default: %(default)s]")
    parser.add_argument("--scenes", type=harness.comma_list, default=list(SCENES), help="[default: all]")
    given: argparse.Namespace = parser.parse_args()
    columns = ("scene", "steps", "held out", "unseen", "voted", "flicker", "voted", "own", "less")
    head(*columns)
    for name in given.scenes:
        compare(name, given.minutes, given.cache)


if __name__ == "__main__":
    harness.run(main)
