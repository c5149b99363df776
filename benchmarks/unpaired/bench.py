"""Looks without pairs, on footage whose pairs are known and withheld, beside training with pairs and other programs.

    python -m benchmarks.unpaired.bench ../shared/data --cache DIR [--opponent CHECKOUT …] [--parts edges,looks,…]
        [--methods unpaired,cyclegan,cut] [--minutes 10] [--seeds 3] [--threads 1] [--scenes NAMES]

128 pixels, short side; each training has ``--minutes`` of CPU time, or ``--steps`` where equal steps are compared.
No constant was chosen on these clips; ``--design`` takes those on which they were. Parts:

edges: lines on paper → photo. looks: photo → a look that ships, and a published style network. facades: label → photo,
40 pairs shuffled. Rows: the target's mean picture, the colour map alone, our presets (``--methods``), training with all
pairs, and with those of the target's frames alone (``--paired``), and the programs of others (``--theirs``), from
checkouts of pytorch-CycleGAN-and-pix2pix and contrastive-unpaired-translation. Columns: PSNR, SSIM and sharpness (1 is
the truth's) of frames that nobody learned from; gfd, the distance of texture and colour; warp, the warping error of the
frames one by one, and window, of the filtered ones (both × 1000); floor, that of a result that does not flicker, and
the share of the flicker above it that the filter removes. far: a dog's clip and a wolf's; ``light`` is how the result's
light follows the source's, and what training said is printed. recycle: ``recyclegan`` beside ``cyclegan`` at equal
steps. speed: seconds of a step of ``cut`` and ``cyclegan``, in turns in one process.

All that is done is stored in DIR: stop it, and the same command goes on; two runs may go side by side. After a change
of the code take another DIR. Sheets of pictures lie there, too. What is not there is skipped, in a line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command line does

import cv2
import torch

from benchmarks.consistency.cases import Missing
from benchmarks.consistency.store import Store
from benchmarks.unpaired.contenders import UNTRAINED, Bench
from benchmarks.unpaired.ours import Lab, Ours
from benchmarks.unpaired.scenes import Scene, plan
from benchmarks.unpaired.step_speed import compare_speed
from benchmarks.unpaired.tables import Found, Goals, draw, table_of
from vidtrans.core.errors import VidtransError
from vidtrans.training.set_up import use_huge_pages

SCENES = {
    "edges": ("edges-bedroom", "edges-cockatoo"),
    "looks": ("oil-cockatoo", "print-bedroom", "ink-bbb", "candy-lynx"),
    "facades": ("facades",),
    "far": ("dog-wolf",),
    "recycle": ("edges-bedroom", "oil-cockatoo"),
}
DESIGN_SCENES = {
    "edges": ("edges-carphone", "edges-flower"),
    "looks": ("oil-juggle", "print-flower", "ink-asl_walk"),
    "recycle": ("edges-carphone",),
}
METHODS, PAIRED, PLAIN, RECYCLE = "unpaired,cyclegan,cut", "paired,paired-half", "cyclegan", "recyclegan"
THEIRS = "their-cyclegan,their-cyclegan-small,their-cut,their-pix2pix"
PARTS = (*SCENES, "speed")


def contenders(part: str, options: argparse.Namespace) -> list[str]:
    """Return who is compared in a part."""
    if part == "recycle":
        return [PLAIN, RECYCLE]
    theirs = [name for name in options.theirs if part == "facades" or name != "their-pix2pix"]
    return [*UNTRAINED, *options.methods, *(options.paired if part != "far" else []), *theirs]


def measure(bench: Bench, scene: Scene, names: Sequence[str], seeds: int, steps: int | None) -> Found:
    """Train and score what is not stored yet."""
    found: Found = {}
    for name in names:
        try:
            for seed in range(1 if name in UNTRAINED else seeds):
                table = bench.result(name, scene, seed, None if name in UNTRAINED else steps)
                found.setdefault(name, []).append(table)
                shown = "  ".join(f"{k} {v:.2f}" for k, v in table.items() if isinstance(v, float))
                print(f"{scene.name:16} {name:22} seed {seed}  {table['steps']} steps  {shown}", flush=True)
        except (Missing, VidtransError) as why:
            print(f"skipped {scene.name}, {name}: {why}", file=sys.stderr, flush=True)
    return found


def run_scenes(bench: Bench, part: str, options: argparse.Namespace) -> Iterator[str]:
    """Measure the scenes of a part, and yield their tables and goals."""
    scenes = plan(options.data, bench.lab.store)
    results: dict[str, Found] = {}
    kinds: dict[str, str] = {}
    steps = options.steps if part == "recycle" else None
    for name in options.scenes or (DESIGN_SCENES if options.design else SCENES).get(part, ()):
        try:
            scene = scenes[name]()
        except Missing as why:
            print(f"skipped {name}: {why}", file=sys.stderr, flush=True)
            continue
        names = contenders(part, options)
        results[name], kinds[name] = measure(bench, scene, names, options.seeds, steps), scene.kind
        if results[name]:
            draw(bench, scene, list(results[name]), options.cache / f"{part}-{name}.png", steps)
            yield table_of(name, results[name])
        for contender, tables in results[name].items():
            if part == "far" and tables[0].get("notes"):
                yield f"{contender} said: {'; '.join(tables[0]['notes'])}\n"
    ours = [RECYCLE] if part == "recycle" else options.methods
    yield "\n".join(Goals(results, kinds, ours, PLAIN).lines()) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data set: video, seq, pairs, models")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for all that is made")
    parser.add_argument("--opponent", type=Path, action="append", default=[], help="a checkout of another program")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--scenes", default="", help="other scenes than those of the part")
    parser.add_argument("--methods", default=METHODS, help="presets: PRESET or NAME:PRESET+TABLE.KEY=VALUE+…")
    parser.add_argument("--paired", default=PAIRED, help="trainings with pairs")
    parser.add_argument("--theirs", default=THEIRS)
    parser.add_argument("--minutes", type=float, default=10, help="CPU time of each training")
    parser.add_argument("--steps", type=int, default=1000, help="of trainings that are compared at equal steps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch, of every program")
    parser.add_argument("--design", action="store_true", help="the clips that constants were chosen on")
    options = parser.parse_args()
    for name in ("parts", "scenes", "methods", "paired", "theirs"):
        setattr(options, name, [word for word in getattr(options, name).split(",") if word])
    options.cache = options.cache.resolve()
    return options


def main() -> None:
    options = parsed()
    use_huge_pages()
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    lab = Lab(Store(options.cache), 60 * options.minutes)
    checkouts = [folder.resolve() for folder in options.opponent]
    methods = {ours.name: ours for ours in map(Ours.parse, options.methods)}
    options.methods = list(methods)
    bench = Bench(lab, options.threads, checkouts, methods)
    others: dict[str, Callable[[Bench, argparse.Namespace], Iterator[str]]] = {"speed": compare_speed}
    for part in options.parts:
        print(f"\n## {part}\n", flush=True)
        try:
            for text in others[part](bench, options) if part in others else run_scenes(bench, part, options):
                print(text, flush=True)
        except (Missing, VidtransError) as why:
            print(f"skipped {part}: {why}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
