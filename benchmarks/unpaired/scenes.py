"""What is learned: two domains whose pairs are known, and withheld from all that learn without pairs.

A clip is divided in turns into frames whose input alone is given (domain A), frames whose target alone is given (domain
B), and frames that nobody learns from, which are scored. Paired training is given both sides of A's and B's frames.
``edges-…``: lines on paper → the frame. ``landscape-…`` and others: the frame → the look of a picture, frame by
frame; ``candy-…``: → a published style network. ``facades``: label → photo, shuffled. ``dog-wolf``: two clips that have
no pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clips import Span, middle_square, read_frames, render_frames
from benchmarks.consistency.cases import stylised
from benchmarks.harness import Missing
from benchmarks.picture_looks import STYLES, model_named
from benchmarks.store import Store, digest
from vidtrans.pairing.edges import Edges, EdgesSettings
from vidtrans.video.images.picture import read_picture, resize

SIDE = 128  # pixels, of the short side
MULTIPLE = 16  # of the long side, cut off: no network has to pad
TURN = 50  # frames of a clip that are divided at once, about
SHARES = (0.38, 0.73)  # of a turn, where A and B end; the rest is scored
GAP = 2  # frames between domains that belong to none: neighbours are nearly the same picture
FEWEST = 8  # frames in a row that are scored
CANDY = "models/candy_nc16_256x256_onnxjs013.onnx"


# Constants are chosen on the former, figures are of the latter.
DESIGN = {
    "carphone": Span("video/carphone_176x144.mp4", 0, 120),
    "asl_walk": Span("video/asl_walk.mkv", 0, 89),
    "juggle": Span("video/juggle.mp4", 60, 180),
    "flower": Span("video/flower.mp4", 0, 150),
}
SCORED = {
    "dog": Span("video/dog.mp4", 0, 180),
    "lynx": Span("seq/lynx/input", 0, 100),
    "cockatoo": Span("video/cockatoo_yuv420.mp4", 0, 180),
    "bedroom": Span("seq/bedroom_pan/input", 0, 80),
    "bbb": Span("video/bbb_0_30.webm", 130, 120),
    "wolf": Span("video/wolf_512.mp4", 0, 40),
}
CLIPS = {**DESIGN, **SCORED}
LOOKS = (*STYLES, "candy")


@dataclass(frozen=True)
class Stretch:
    """Frames in a row, each (H, W, 3) uint8: a model's inputs, the truth of each, and ``guides``, whose motion it is.

    Without truths, as of two clips that have no pairs, ``truths`` is empty.
    """

    inputs: list[np.ndarray]
    truths: list[np.ndarray]
    guides: list[np.ndarray]


@dataclass(frozen=True)
class Scene:
    """What is given of the two domains, with pairs and without, and what is scored. All pictures are of one size."""

    name: str
    kind: str  # edges, look, pictures or far
    source: list[np.ndarray]
    target: list[np.ndarray]
    tests: list[Stretch]
    paired_inputs: list[np.ndarray]
    paired_targets: list[np.ndarray]

    @property
    def is_video(self) -> bool:
        """Tell whether its pictures follow each other in time."""
        return self.kind != "pictures"

    @cached_property
    def digest(self) -> str:
        """Return the digest of all its pictures."""
        tests = [picture for s in self.tests for picture in (*s.inputs, *s.truths)]
        return digest(*self.source, *self.target, *tests, *self.paired_inputs, *self.paired_targets)


def divide(count: int) -> tuple[list[range], list[range], list[range]]:
    """Return the stretches of a clip of ``count`` frames that are domain A, domain B, and scored."""
    turns = max(1, round(count / TURN))
    ends = [round(count * turn / turns) for turn in range(turns + 1)]
    parts: tuple[list[range], list[range], list[range]] = ([], [], [])
    for first, end in itertools.pairwise(ends):
        at = [first, *(first + round(share * (end - first)) for share in SHARES), end]
        for part, (start, stop) in zip(parts, itertools.pairwise(at), strict=True):
            # The clip's last frame has no other domain behind it.
            part.append(range(start, stop if stop == count else stop - GAP))
    if min(map(len, parts[2])) < FEWEST:
        raise Missing(f"{count} frames are too few to divide")
    return parts


def arrange(name: str, kind: str, inputs: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> Scene:
    """Return the scene of a clip's known pairs."""
    frames = inputs if kind == "look" else truths  # the real ones, whose motion can be found
    a, b, scored = divide(len(inputs))

    def take(pictures: Sequence[np.ndarray], *parts: list[range]) -> list[np.ndarray]:
        return [pictures[n] for part in parts for stretch in part for n in stretch]

    tests = [Stretch(*([p[n] for n in stretch] for p in (inputs, truths, frames))) for stretch in scored]
    return Scene(name, kind, take(inputs, a), take(truths, b), tests, take(inputs, a, b), take(truths, a, b))


def clip_frames(data: Path, clip: Span) -> list[np.ndarray]:
    """Return frames at the size of the bench, of a width that networks take. Raises Missing."""
    found = read_frames(data / clip.path, clip.first, clip.count, least=FEWEST)
    height, width = found[0].shape[:2]
    scale = SIDE / min(height, width)
    size = max(SIDE, round(width * scale)), max(SIDE, round(height * scale))
    wide, tall = (side // MULTIPLE * MULTIPLE for side in size)
    left, top = (size[0] - wide) // 2, (size[1] - tall) // 2
    small = (resize(frame, *size) for frame in found)
    return [np.ascontiguousarray(frame[top : top + tall, left : left + wide]) for frame in small]


def drawn(frame: np.ndarray) -> np.ndarray:
    """Return a frame's lines as the pairing finds them, dark on paper, (H, W, 3) uint8."""
    return np.repeat(255 - Edges(EdgesSettings()).input([frame]), 3, axis=2)


def edges_scene(name: str, data: Path, clip: Span) -> Scene:
    frames = clip_frames(data, clip)
    return arrange(name, "edges", [drawn(frame) for frame in frames], frames)


def look_scene(name: str, data: Path, clip: Span, look: str, store: Store) -> Scene:
    """The truth is what the look makes of each frame by itself. Raises Missing."""
    if look == "candy":  # its network takes squares of 256 pixels
        whole = read_frames(data / clip.path, clip.first, clip.count, least=FEWEST)
        large = [middle_square(frame, 2 * SIDE) for frame in whole]
        frames = [middle_square(frame, SIDE) for frame in large]
        truths = [middle_square(frame, SIDE) for frame in stylised(large, data / CANDY, store)]
    else:
        frames = clip_frames(data, clip)
        key = digest(look, *frames)
        cache = store.folder / "vidtrans"
        render = partial(render_frames, frames, model_named(look, cache), store.folder / f"{name}-{key}", cache)
        truths = store.pictures(f"{name}-truth", key, render)
    return arrange(name, "look", frames, truths)


def facades_scene(name: str, data: Path, held_out: int = 8) -> Scene:
    """Labels → photos of 40 buildings: some give labels, some photos, and some are scored. Raises Missing."""
    files = sorted((data / "pairs" / "facades_194").glob("*.png"))
    if not files:
        raise Missing(f"no {data / 'pairs' / 'facades_194'}")
    both = [np.hsplit(read_picture(file), 2) for file in files]
    labels, photos = ([cv2.resize(p[k], (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in both] for k in (0, 1))
    order = np.random.default_rng(0).permutation(len(files))
    scored, rest = order[:held_out], order[held_out:]
    halves = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    test = Stretch([labels[i] for i in scored], [photos[i] for i in scored], [labels[i] for i in scored])
    source, target = [labels[i] for i in halves[0]], [photos[i] for i in halves[1]]
    return Scene(name, "pictures", source, target, [test], [labels[i] for i in rest], [photos[i] for i in rest])


def far_scene(name: str, data: Path, first: str, second: str) -> Scene:
    """Two clips of different things: no truth is known. Raises Missing."""
    source, target = (clip_frames(data, CLIPS[clip]) for clip in (first, second))
    square = [[f[:, (f.shape[1] - SIDE) // 2 :][:, :SIDE].copy() for f in frames] for frames in (source, target)]
    kept, last = square[0][: -2 * FEWEST - GAP], square[0][-2 * FEWEST :]
    return Scene(name, "far", kept, square[1], [Stretch(last, [], last)], [], [])


def plan(data: Path, store: Store) -> dict[str, Callable[[], Scene]]:
    """Return every scene by its name, to be made when it is called, which raises Missing."""
    scenes: dict[str, Callable[[], Scene]] = {}
    for name, clip in CLIPS.items():
        scenes[f"edges-{name}"] = partial(edges_scene, f"edges-{name}", data, clip)
    for look in LOOKS:
        for name, clip in CLIPS.items():
            scenes[f"{look}-{name}"] = partial(look_scene, f"{look}-{name}", data, clip, look, store)
    scenes["facades"] = partial(facades_scene, "facades", data)
    scenes["dog-wolf"] = partial(far_scene, "dog-wolf", data, "dog", "wolf")
    return scenes
