"""Looks without pairs, on footage whose pairs are known and withheld, beside training with pairs.

    python -m benchmarks.unpaired.bench DATA --cache DIR [--parts edges,looks,…] [--methods unpaired,cyclegan,cut]
        [--minutes 10] [--seeds 3] [--threads 1] [--scenes NAMES]

128 pixels, short side; each training has ``--minutes`` of wall time, or ``--steps`` where equal steps are compared.
No constant was chosen on these clips; ``--scenes`` takes others, by their names in scenes.py. Parts:

edges: lines on paper → photo. looks: photo → the look of a picture, and a published style network. facades: label →
photo, 40 pairs shuffled. Rows: the target's mean picture, the colour map alone, our presets (``--methods``), training
with all pairs, and with those of the target's frames alone (``--paired``). Columns: PSNR, SSIM and sharpness (1 is
the truth's) of frames that nobody learned from; gfd, the distance of texture and colour; warp, the warping error of
the frames one by one, and window, of the filtered ones (both × 1000); floor, that of a result that does not flicker,
and the share of the flicker above it that the filter removes. far: a dog's clip and a wolf's; ``light`` is how the
result's light follows the source's. recycle: ``recyclegan`` beside ``cyclegan`` at equal steps.

All that is done is kept in DIR: stop it, and the same command goes on. After a change of the code take another DIR.
Sheets of pictures lie there, too. What is not there is skipped, in a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from benchmarks import harness
from benchmarks.store import Store
from benchmarks.tables import head, row
from benchmarks.unpaired.contenders import UNTRAINED, Lab
from benchmarks.unpaired.scenes import Scene, plan
from vidtrans.core.machine import use_huge_pages
from vidtrans.core.settings import Table
from vidtrans.video.images.picture import write_picture
from vidtrans.video.plots import ContactSheet, cell_size

SCENES = {
    "edges": ("edges-bedroom", "edges-cockatoo"),
    "looks": ("landscape-cockatoo", "coffee-bedroom", "chelsea-bbb", "candy-lynx"),
    "facades": ("facades",),
    "far": ("dog-wolf",),
    "recycle": ("edges-bedroom", "landscape-cockatoo"),
}
COLUMNS = ("steps", "seconds", "psnr", "ssim", "sharp", "gfd", "light", "warp", "window", "floor", "removed")
DIGITS = {"steps": 0, "seconds": 0, "psnr": 1}
ROWS, CELL = 4, 320  # of a sheet; pixels


def cell(tables: Sequence[Table], column: str) -> str:
    known = [table[column] for table in tables if table.get(column) is not None]
    return harness.mean_spread(known, DIGITS.get(column, 2)) if known else "–"


def draw(lab: Lab, scene: Scene, names: Sequence[str], path: Path, steps: int) -> None:
    """Write a sheet of some inputs, what each contender makes of them with the first seed, and the truth."""
    inputs = [picture for stretch in scene.tests for picture in stretch.inputs]
    truths = [truth for stretch in scene.tests for truth in stretch.truths]
    columns = {"input": inputs}
    columns |= {name: lab.pictures(name, scene, 0, 0 if name in UNTRAINED else steps) for name in names}
    if truths:
        columns["truth"] = truths
    chosen = [(2 * k + 1) * len(inputs) // (2 * ROWS) for k in range(ROWS)]
    rows = [[pictures[n] for pictures in columns.values()] for n in chosen]
    write_picture(path, ContactSheet(scene.name, rows, cell_size(rows[0][0], CELL), tuple(columns)).draw())


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--parts", type=harness.comma_list, default=list(SCENES))
    parser.add_argument("--scenes", type=harness.comma_list, help="other scenes than those of the part")
    parser.add_argument("--methods", type=harness.comma_list, default=["unpaired", "cyclegan", "cut"], help="presets")
    parser.add_argument("--paired", type=harness.comma_list, default=["paired", "paired-half"], help="with pairs")
    parser.add_argument("--minutes", type=float, default=10, help="wall time of each training")
    parser.add_argument("--steps", type=int, default=1000, help="of trainings that are compared at equal steps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args()
    use_huge_pages()
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    lab = Lab(Store(options.cache), 60 * options.minutes, options.threads)
    scenes = plan(options.data, lab.store)
    for part in options.parts:
        names = [*UNTRAINED, *options.methods, *(options.paired if part != "far" else [])]
        if part == "recycle":
            names = ["cyclegan", "recyclegan"]
        steps = options.steps if part == "recycle" else 0

        def measure(name: str, part: str = part, names: list[str] = names, steps: int = steps) -> None:
            scene, found = scenes[name](), dict[str, list[Table]]()

            def score(contender: str) -> None:
                seeds = 1 if contender in UNTRAINED else options.seeds
                own = 0 if contender in UNTRAINED else steps
                found[contender] = [lab.result(contender, scene, seed, own) for seed in range(seeds)]

            harness.each(names, score)
            columns = [c for c in COLUMNS if any(c in tables[0] for tables in found.values())]
            print(f"\n## {part}\n")
            head(name, *columns)
            for contender, tables in found.items():
                row(contender, *(cell(tables, column) for column in columns))
            draw(lab, scene, list(found), options.cache / f"{part}-{name}.png", steps)

        harness.each(options.scenes or SCENES[part], measure)


if __name__ == "__main__":
    harness.run(main)
