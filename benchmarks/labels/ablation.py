"""The paper's ablation by FCN-score: what a labeller reads in pictures painted from labels, by each loss.

    python -m benchmarks.labels.ablation [DATA] --cache DIR [--ablate loss] [--steps 400] [--seeds 3] [--sets street]

`street` and `table` are rendered scenes whose labels are known, `facades` the pairs of the data set (DATA). A labeller
of preset `segment` learns the training pairs the other way round; each variant of `train --ablate` paints the held-out
labels, and the labeller reads them. Mean over the seeds and its 95 % interval (Student's t); `true`: the labeller on
the true pictures. Isola et al., CVPR 2017, table 1, on Cityscapes: L1 .42, GAN .22, cGAN .57, L1+GAN .64, L1+cGAN .66,
true .80.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import vidtrans
from benchmarks import harness
from benchmarks.labels.bench import made
from benchmarks.labels.scenes import SCENES, SIZE
from benchmarks.tables import head, row
from vidtrans.core.settings import Table

MEASURES = ("fcn_pixel_accuracy", "fcn_class_accuracy", "fcn_iou")
SETS = (*SCENES, "facades")


def datasets(name: str, data: Path | None, cache: Path) -> tuple[Path, Path]:
    """Make the datasets of labels → picture and of picture → labels. Raises Missing."""
    there, back = cache / f"{name}-painted.dataset", cache / f"{name}-read.dataset"
    keep = {"cache_dir": cache / ".vidtrans"}
    if name in SCENES:
        clip, maps, colours = made(name, cache), cache / f"{name}.labels", SCENES[name].palette
        size = {"size": str(SIZE[1])}
        pairings: list[Table] = [
            {"name": "labels", "palette": colours, "classes": len(colours.split())},
            {"name": "segment", "palette": colours},
        ]
        vidtrans.make_dataset([maps], there, target=clip, settings={"dataset": size, "pairing": pairings[0]}, **keep)
        vidtrans.make_dataset([clip], back, target=maps, settings={"dataset": size, "pairing": pairings[1]}, **keep)
        return there, back
    if data is None:
        raise harness.Missing("the folder of the data set was not given")
    pairs = harness.need(data / "pairs" / "facades_194")
    size = {"size": "192", "val_fraction": 0.25}
    vidtrans.make_dataset([pairs], there, settings={"dataset": size, "pairing": {"name": "aligned"}}, **keep)
    named = {"name": "segment", "palette": "facades", "direction": "BtoA"}
    vidtrans.make_dataset([pairs], back, settings={"dataset": size, "pairing": named}, **keep)
    return there, back


def compare(name: str, given: argparse.Namespace) -> None:
    """Train a labeller and all variants with each seed, and print a row for each variant."""
    cache: Path = given.cache
    there, back = datasets(name, given.data, cache)
    keep = {"cache_dir": cache / ".vidtrans"}
    reader = cache / f"{name}-reader.safetensors"
    vidtrans.train(back, reader, steps=given.reader_steps, settings={"training": {"final_weights": "best"}}, **keep)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(given.seeds):
        folder = cache / f"{name}-{given.ablate}-{given.steps}-{seed}"
        options = {"training": {"batch_size": 1}}
        trained = vidtrans.train(
            there, folder, ablate=given.ablate, labeller=str(reader), steps=given.steps, seed=seed, preset="fast",
            settings=options, **keep,
        )  # fmt: skip
        for variant in trained["rows"]:
            for measure in (*MEASURES, "fcn_of_targets"):
                found[variant["label"]][measure].append(variant["held_out"][measure])
    for label, scores in found.items():
        row(name, label, *(spread(scores[measure]) for measure in MEASURES), f"{scores['fcn_of_targets'][0]:.3f}")


def spread(values: list[float]) -> str:
    """Return the mean and half of the width of its 95 % interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.3f} ± {half:.3f}"


def main() -> None:
    """Run the benchmark."""
    parser = harness.parser(__doc__, cache=True)
    parser.add_argument("data", type=Path, nargs="?", help="the folder of the data set, for facades")
    parser.add_argument("--ablate", default="loss", choices=("loss", "discriminator", "skips"))
    parser.add_argument("--steps", type=int, default=400, help="of each training [default: %(default)s]")
    parser.add_argument("--reader-steps", type=int, default=400, help="of the labeller's [default: %(default)s]")
    parser.add_argument("--seeds", type=int, default=3, help="[default: %(default)s]")
    parser.add_argument("--sets", type=harness.comma_list, default=list(SETS), help="[default: all]")
    given = parser.parse_args()
    head("pairs", "learned by", "pixels", "classes", "IoU", "true")
    harness.each(given.sets, lambda name: compare(name, given))


if __name__ == "__main__":
    harness.run(main)
