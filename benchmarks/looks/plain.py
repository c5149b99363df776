"""Measure ``vidtrans look`` as it is installed, with all defaults, for pairs of a painting and a clip, in minutes.

    python -m benchmarks.looks.plain DATA --styles DIR --cache DIR --pairs la_muse:flower.mp4,wave:asl_walk.mkv

The paintings are those of lengstrom/fast-style-transfer (examples/style). No constant was chosen on them, nor on the
clips but ``juggle``, on which the losses' weights were chosen with another painting. Each is learned on a clip of
DATA/video for ``--minutes``, or for ``--steps``, which says the same on any machine: 1000 take five minutes on two
quiet cores. Twelve frames of the clip are painted, each by itself, and compared at 480x270 with the painting and with
the source: see ``painterly.judge``. ``--set`` is that of ``vidtrans look``.

Goals: texture .5 to 1.6 of the painting's, at most .2 of the way to its colours left, structure at least .5.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.clips import read_frames, render_frames
from benchmarks.looks.painted import read_styles
from benchmarks.looks.painterly import judge
from benchmarks.store import digest
from benchmarks.tables import Goal, head, row
from vidtrans.clips.sampling import spread_numbers
from vidtrans.core.files import digest_file
from vidtrans.video.images.picture import read_picture, write_picture

PAINTED = 12  # frames of each clip
PAIRS = (
    "la_muse:flower.mp4",
    "the_scream:bikes_5cuts.mp4",
    "udnie:bigbuckbunny_720p.mp4",
    "rain_princess:juggle.mp4",
    "the_shipwreck_of_the_minotaur:one-by-one-person-detection_139s.mp4",
    "wave:stream-of-water.mp4",
)
GOALS = {
    "texture": Goal("texture over the painting's", 0.5, 1.6),
    "colours": Goal("share of the way to the painting's colours that is left", most=0.2),
    "structure": Goal("structure kept", 0.5),
}


def measure(painting: Path, clip: Path, options: Namespace) -> dict[str, float]:
    """Train with a painting on a clip, write some frames beside their source into the cache, and judge them."""
    table = dict(line.split("=", 1) for line in options.set)
    settings: dict[str, dict[str, object]] = {}
    for key, value in table.items():
        section, name = key.split(".")
        settings.setdefault(section, {})[name] = json.loads(value)
    length = {"steps": options.steps} if options.steps else {"minutes": options.minutes}
    name = f"{painting.stem}-{clip.stem}-{digest(repr((options.set, length)))}"
    model, cache = options.cache / f"{name}.safetensors", options.cache / "vidtrans"
    done = vidtrans.look([painting], model, on=[clip], settings=settings, cache_dir=cache, **length)
    frames = read_frames(clip, short=540)
    frames = [frames[number] for number in spread_numbers(len(frames), PAINTED)]
    folder = options.cache / f"{name}-{digest_file(model)[:8]}"
    painted = render_frames(frames, model, folder, cache, size="")
    middle = PAINTED // 2
    size = painted[middle].shape[1::-1]
    write_picture(model.with_suffix(".png"), np.hstack([cv2.resize(frames[middle], size), painted[middle]]))
    return judge(frames, painted, read_picture(painting)) | {"steps": done["steps"]}


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--styles", type=Path, required=True, help="a folder of paintings")
    parser.add_argument("--pairs", type=harness.comma_list, default=list(PAIRS), help="PAINTING:CLIP, …")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    styles = read_styles(harness.need(options.styles))
    names = ("strokes", "texture", "source", "colours", "structure", "fringe", "chance")
    head("painting", "clip", "steps", *names)

    def show(pair: str) -> None:
        name, clip = pair.split(":")
        found = measure(styles[name], harness.need(options.data / "video" / clip), options)
        cells = [GOALS[key].verdict(found[key]) if key in GOALS else found[key] for key in names]
        row(name, clip, found["steps"], *cells)

    harness.each(options.pairs, show)


if __name__ == "__main__":
    harness.run(main)
