"""Looks that were learned from one picture in five minutes, beside published networks of the same styles.

    python -m benchmarks.looks.bench DATA --styles DIR --cache DIR [--parts style,steady,many,speed] [--steps 1000]

DIR of ``--styles`` has the style pictures; candy.jpg and mosaic.jpg, those of the published networks in DATA/models,
are in the examples of PyTorch. Five clips, of which the looks learn 28 frames and paint the next 24; no constant was
chosen on these clips. The judge is a network that no look is taught with.

style: distance from the style picture, and from what the frames show, as the judge sees it; "any clip" is a look that
learned on the frames that ship, "distilled-vgg" one that was taught with other features.
steady: warping error over the input's, per frame and after the window filter; "removed" is the share of the flicker
above that of a flicker-free look of the same colours (one smooth colour map fitted over the clip), 1 at most; "sharp"
the sharpness beside the unfiltered frames.
many: all styles of the folder in one network, taught for ``--together`` steps, beside single ones of those of
``--only``. speed: pixels a second at 1080p and at 256x256.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.consistency.cases import Case
from benchmarks.consistency.measure import measure
from benchmarks.consistency.methods import run_filter
from benchmarks.looks.critic import Critic
from benchmarks.looks.painted import OTHER, OURS, REAL, SHIPPED, STEPS, Studio, Way, read_styles
from benchmarks.picture_looks import model_named
from benchmarks.store import Store
from benchmarks.tables import head, row
from vidtrans.grading.learning import place_pairs
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import load_generator
from vidtrans.video.images.picture import read_picture

PUBLISHED = ("candy", "mosaic")
CLIPS = ("dog", "lynx", "bbb", "bikes", "bedroom")
WAYS = {way.name: way for way in (REAL, OURS, SHIPPED, OTHER)}
SIZES = {"256x256": (256, 256), "1080p": (1080, 1920)}
ROUNDS = 5  # of the measurement of speed


def chosen(ways: Iterable[Way], styles: dict[str, Path], clips: Iterable[str]) -> Iterable[tuple[Way, str, str]]:
    """Ways, styles and clips that go together."""
    for style in styles:
        for clip in clips:
            for way in ways:
                if way.measure or style in PUBLISHED:
                    yield way, style, clip


def style(studio: Studio, ways: list[Way], styles: dict[str, Path], clips: list[str]) -> None:
    critic = Critic()
    head("style", "clip", "way", "style", "content")
    found: dict[str, list[tuple[float, float]]] = {}
    for way, style, clip in chosen(ways, styles, clips):
        frames = studio.frames(clip)
        painted = studio.painted(way, styles[style], clip)
        judged = critic.judge(frames[::4], painted[::4], read_picture(styles[style]))
        found.setdefault(f"{way.name}{'' if style in PUBLISHED else ', other styles'}", []).append(judged)
        row(style, clip, way.name, *judged)
    for name, rows in found.items():
        row(f"mean of {len(rows)}", "", name, *np.mean(rows, axis=0).tolist())


def steady(studio: Studio, ways: list[Way], styles: dict[str, Path], clips: list[str]) -> None:
    head("style", "clip", "way", "per frame", "window", "floor", "removed", "sharp")
    found: dict[str, list[tuple[float, ...]]] = {}
    for way, style, clip in chosen(ways, styles, clips):
        frames, painted = studio.frames(clip), studio.painted(way, styles[style], clip)
        case = Case(f"{style}-{clip}", "look", frames, painted)
        raw = measure(case, painted)
        filtered = measure(case, run_filter("window", frames, painted))
        lattice = place_pairs(zip(frames[::3], painted[::3], strict=True)).learn(33).grade.lattice
        calm = measure(case, [np.rint(255 * np.clip(lattice(f / 255), 0, 1)).astype(np.uint8) for f in frames])
        source = raw.floor * raw.error
        removed = min(1.0, (raw.error - filtered.error) / (raw.error - calm.error)) if raw.error > calm.error else 1.0
        cells = (raw.error / source, filtered.error / source, calm.error / source, removed, filtered.sharpness)
        found.setdefault(f"{way.name}{'' if style in PUBLISHED else ', other styles'}", []).append(cells)
        row(style, clip, way.name, *cells)
    for name, rows in found.items():
        row(f"mean of {len(rows)}", "", name, *np.mean(rows, axis=0).tolist())


def many(studio: Studio, ways: list[Way], styles: dict[str, Path], clips: list[str]) -> None:
    """All styles of the folder in one network, beside a network for each of ``styles``."""
    critic, names = Critic(), list(styles)
    head("style", "clip", "alone: style", "content", "together: style", "content")
    rows = []
    for clip in clips:
        frames = studio.frames(clip)
        together = studio.model(SHIPPED, studio.together, clip)
        for style in names:
            pictures = studio.painted(SHIPPED, styles[style], clip), studio.paint(frames, together, style)
            picture = read_picture(styles[style])
            rows.append([score for made in pictures for score in critic.judge(frames[::4], made[::4], picture)])
            row(style, clip, *rows[-1])
    row(f"mean of {len(rows)}", "", *np.mean(rows, axis=0).tolist())


def speed(studio: Studio, ways: list[Way], styles: dict[str, Path], clips: list[str]) -> None:
    """Pixels a second of the engine alone, at both sizes in turn."""
    generator, _ = load_generator(Path(model_named("landscape", studio.store.folder / "vidtrans")))
    engine = TorchEngine(generator, resolve_device("cpu"))
    works = {name: partial(engine, np.full((1, *size, 4), 128, np.uint8)) for name, size in SIZES.items()}
    taken = harness.in_turns(works, ROUNDS)
    rates = {name: [np.prod(SIZES[name]) / 1e6 / s for s in seconds] for name, seconds in taken.items()}
    for name, found in rates.items():
        print(f"{name}: {harness.spread(found)} megapixels a second")
    print(f"ratio: {harness.spread(harness.ratios(rates['1080p'], rates['256x256']))}")


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--styles", type=Path, required=True, help="a folder of style pictures")
    parser.add_argument("--parts", type=harness.comma_list, default=["style", "steady"], help=f"of {', '.join(PARTS)}")
    parser.add_argument("--ways", type=harness.comma_list, default=list(WAYS))
    parser.add_argument("--only", type=harness.comma_list, help="styles; all without")
    parser.add_argument("--clips", type=harness.comma_list, default=list(CLIPS))
    parser.add_argument("--steps", type=int, default=STEPS, help="of each network")
    parser.add_argument("--together", type=int, default=8 * STEPS, help="steps of the network of all styles")
    options = parser.parse_args()
    whole = read_styles(harness.need(options.styles))
    studio = Studio(Store(options.cache), options.data, options.steps, tuple(whole.values()), options.together)
    styles = {name: path for name, path in whole.items() if not options.only or name in options.only}

    def show(part: str) -> None:
        print(f"\n## {part}\n")
        PARTS[part](studio, [WAYS[name] for name in options.ways], styles, options.clips)

    harness.each(options.parts, show)


Part = Callable[[Studio, list[Way], dict[str, Path], list[str]], None]
PARTS: dict[str, Part] = {"style": style, "steady": steady, "many": many, "speed": speed}


if __name__ == "__main__":
    harness.run(main)
