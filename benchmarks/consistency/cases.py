"""Cases of the consistency benchmarks: short clips, each with the per-frame results of a model that flicker.

``lut-…``: a pointwise tone curve of real frames, which cannot flicker, with a flicker added that is known, so that the
truth is at hand. ``real-…``: a published flickering result. ``style-…``: style networks run frame by frame, which need
onnxruntime. The models that the benchmark trains are in trained.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np

from benchmarks.clips import Span, middle_square
from benchmarks.clips import read_frames as read_clip
from benchmarks.consistency.known_flicker import FLICKERS, flickering, toned
from benchmarks.harness import Missing, need, skip
from benchmarks.store import Store, digest

FEWEST = 16  # frames that make a case
SIDE = 256  # pixels: what the style networks take
CLIPS = {
    "bedroom": Span("seq/bedroom_pan/input", 0),
    "juggle": Span("video/juggle.mp4", 100),
    "dog": Span("video/dog.mp4", 110),
    "wolf": Span("video/wolf_512.mp4", 0),
    "bbb": Span("video/bbb_0_30.webm", 130),
    "bikes": Span("video/bikes_5cuts.mp4", 190),
    "bikes_cyclist": Span("video/bikes_5cuts.mp4", 97),
    "carphone": Span("video/carphone_176x144.mp4", 65),
    "bug": Span("video/bug_bw.mp4", 15),
    "lynx": Span("seq/lynx/input", 0),
    "phone": Span("video/phone_vfr_rot180.mp4", 0),
}
LUT_CLIPS = ("bedroom", "juggle", "dog", "wolf", "bbb", "bikes", "carphone", "bug", "lynx")
STYLE_CLIPS = ("bedroom", "wolf", "bbb", "bikes", "bikes_cyclist", "juggle", "phone")
STYLES = ("candy", "mosaic")


@dataclass(frozen=True)
class Case:
    """Pictures of one shot, each (H, W, 3) uint8: the input's, the model's, and what it should have made.

    ``clean`` is None where nobody knows.
    """

    name: str
    kind: str
    guides: list[np.ndarray]
    processed: list[np.ndarray]
    clean: list[np.ndarray] | None = None

    def __post_init__(self) -> None:
        shapes = {p.shape for p in (*self.guides, *self.processed, *(self.clean or []))}
        if len(self.guides) != len(self.processed) or len(shapes) != 1:
            raise ValueError(f"{self.name}: {len(self.guides)} guides, {len(self.processed)} results, of {shapes}")

    @cached_property
    def digest(self) -> str:
        """Return the digest of all its pictures."""
        return digest(*self.guides, *self.processed, *(self.clean or []))


@lru_cache(maxsize=2)  # cases of one clip follow each other
def read_frames(path: Path, first: int = 0, count: int | None = None, side: int = 0) -> list[np.ndarray]:
    """Return frames of a clip or a folder of pictures; ``side``: their middle squares. Raises Missing."""
    frames = read_clip(path, first, count, least=FEWEST)
    return [middle_square(frame, side) for frame in frames] if side else frames


def lut_case(name: str, clip: Span, flicker: str, data: Path, count: int, side: int) -> Case:
    guides = read_frames(data / clip.path, clip.first, count, side)
    clean = toned(guides)
    return Case(name, f"lut-{flicker}", guides, flickering(clean, flicker, zlib.crc32(name.encode())), clean)


def real_case(name: str, data: Path, side: int) -> Case:
    """The published pair, all of it: white balance that drifts, and at the frames 37 to 45 jumps from grey to warm."""
    place = data / "seq" / "bedroom_pan"
    return Case(name, "real", *(read_frames(place / part, side=side) for part in ("input", "processed")))


def style_case(name: str, clip: Span, style: str, data: Path, count: int, store: Store) -> Case:
    guides = read_frames(data / clip.path, clip.first, count, SIDE)
    model = data / "models" / f"{style}_nc16_256x256_onnxjs013.onnx"
    return Case(name, f"style-{style}", guides, stylised(guides, model, store))


def stylised(guides: Sequence[np.ndarray], model: Path, store: Store) -> list[np.ndarray]:
    """Run a style network (Johnson et al., ECCV 2016) that takes RGB in 0 … 255, (1, 3, 256, 256). Raises Missing."""
    key = digest(need(model).read_bytes(), *guides)
    return store.pictures(model.stem, key, lambda: run_network(guides, model))


def run_network(guides: Sequence[np.ndarray], model: Path) -> list[np.ndarray]:
    """Raises Missing without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        raise Missing("onnxruntime is not installed: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the same sums in the same order
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    made = []
    for guide in guides:
        given = np.ascontiguousarray(guide.transpose(2, 0, 1)[None], np.float32)
        out = session.run(None, {entry: given})[0][0].transpose(1, 2, 0)
        made.append(np.clip(np.rint(out), 0, 255).astype(np.uint8))
    return made


Plan = dict[str, Callable[[], Case]]


def plan(store: Store, data: Path, count: int = 40, side: int = SIDE) -> Plan:
    """Return every case by name, each to be made when it is called; that raises Missing.

    ``count`` frames of ``side`` pixels; the real one is whole, and style networks have a size of their own.
    """
    cases: Plan = {
        f"real-bedroom_{side}": partial(real_case, f"real-bedroom_{side}", data, side),
        "real-bedroom_800x450": partial(real_case, "real-bedroom_800x450", data, 0),
    }
    for style in STYLES:
        for clip in STYLE_CLIPS:
            name = f"style-{style}-{clip}"
            cases[name] = partial(style_case, name, CLIPS[clip], style, data, count, store)
    for flicker in FLICKERS:
        for clip in LUT_CLIPS:
            name = f"lut-{flicker}-{clip}"
            cases[name] = partial(lut_case, name, CLIPS[clip], flicker, data, count, side)
    return cases


def chosen(cases: Plan, parts: Sequence[str] = ()) -> Iterator[Case]:
    """Make those whose names have one of ``parts`` in them (all without any), and say what cannot be had."""
    for name, make in cases.items():
        if not parts or any(part in name for part in parts):
            try:
                yield make()
            except Missing as why:
                skip(name, why)
