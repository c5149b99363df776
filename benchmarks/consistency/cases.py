"""What temporal filters are benched on: short clips, each with the per-frame results of a look that flickers.

    python -m benchmarks.consistency.cases --cache DIR [--dump DIR] [--only PART]

``lut-…``: a pointwise tone curve of real frames, which cannot flicker, with a flicker added that is known, so that the
truth is at hand. ``real-…``: a published flickering result. ``style-…``: style networks run frame by frame, which need
onnxruntime. --only may be given several times. What cannot be had is skipped, in a line. The models that the bench
trains are in trained.py.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.consistency.known_flicker import FLICKERS, flickering, toned
from benchmarks.consistency.store import Store, digest
from vidtrans.core.errors import VidtransError
from vidtrans.metrics.picture_quality import psnr
from vidtrans.video.io.pictures import open_reader

FEWEST = 16  # frames that make a case
SIDE = 256  # pixels: what the style networks take
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


class Missing(Exception):
    """The case cannot be had here; says why."""


@dataclass(frozen=True)
class Clip:
    """Where frames come from: ``first`` is their first number, and all that are taken lie in one shot."""

    path: str
    first: int


CLIPS = {
    "bedroom": Clip("seq/bedroom_pan/input", 0),
    "juggle": Clip("video/juggle.mp4", 100),
    "dog": Clip("video/dog.mp4", 110),
    "wolf": Clip("video/wolf_512.mp4", 0),
    "bbb": Clip("video/bbb_0_30.webm", 130),
    "bikes": Clip("video/bikes_5cuts.mp4", 190),
    "bikes_cyclist": Clip("video/bikes_5cuts.mp4", 97),
    "carphone": Clip("video/carphone_176x144.mp4", 65),
    "bug": Clip("video/bug_bw.mp4", 15),
    "lynx": Clip("seq/lynx/input", 0),
    "phone": Clip("video/phone_vfr_rot180.mp4", 0),
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
        """Of all its pictures."""
        return digest(*self.guides, *self.processed, *(self.clean or []))


# Frames


def square(rgb: np.ndarray, side: int) -> np.ndarray:
    """The middle square of a picture (H, W, 3) uint8, scaled to (side, side, 3)."""
    height, width = rgb.shape[:2]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (size[0] - side) // 2, (size[1] - side) // 2
    return np.ascontiguousarray(rgb[y : y + side, x : x + side])


def frames_of(path: Path, first: int = 0, count: int | None = None, side: int = 0) -> list[np.ndarray]:
    """Up to ``count`` frames of a clip or a folder of pictures from ``first`` on; ``side``: only their middle squares,
    of that size. Raises Missing.
    """
    if not path.exists():
        raise Missing(f"no {path}")
    try:
        with open_reader(path) as reader:
            frames = (frame.rgb for frame in reader.frames(first, None if count is None else first + count))
            taken = [square(f, side) if side else np.ascontiguousarray(f) for f in frames]
    except VidtransError as error:
        raise Missing(str(error)) from None
    if len(taken) < FEWEST:
        raise Missing(f"{path} has only {len(taken)} frames from {first} on")
    return taken


read_frames = lru_cache(maxsize=2)(frames_of)  # for sources, that are asked for case after case


# Looks and flicker that are known


def lut_case(name: str, clip: Clip, flicker: str, data: Path, count: int, side: int) -> Case:
    guides = read_frames(data / clip.path, clip.first, count, side)
    clean = toned(guides)
    return Case(name, f"lut-{flicker}", guides, flickering(clean, flicker, zlib.crc32(name.encode())), clean)


# Looks whose truth nobody knows


def real_case(name: str, data: Path, side: int) -> Case:
    """The published pair, all of it: white balance that drifts, and at the frames 37 to 45 jumps from grey to warm."""
    place = data / "seq" / "bedroom_pan"
    return Case(name, "real", *(read_frames(place / part, side=side) for part in ("input", "processed")))


def style_case(name: str, clip: Clip, style: str, data: Path, count: int, store: Store) -> Case:
    guides = read_frames(data / clip.path, clip.first, count, SIDE)
    model = data / "models" / f"{style}_nc16_256x256_onnxjs013.onnx"
    return Case(name, f"style-{style}", guides, stylised(guides, model, store))


def stylised(guides: Sequence[np.ndarray], model: Path, store: Store) -> list[np.ndarray]:
    """Each picture through a style network (Johnson et al., ECCV 2016) that takes RGB in 0 … 255, (1, 3, 256, 256).

    Raises Missing.
    """
    if not model.exists():
        raise Missing(f"no {model}")
    return store.pictures(model.stem, digest(model.read_bytes(), *guides), lambda: run_network(guides, model))


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


# All of them

Plan = dict[str, Callable[[], Case]]


def plan(store: Store, data: Path = DATA, count: int = 40, side: int = SIDE) -> Plan:
    """Every case by name, each to be made when it is called; that raises Missing.

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
        if parts and not any(part in name for part in parts):
            continue
        try:
            yield make()
        except Missing as why:
            print(f"skipped {name}: {why}", file=sys.stderr, flush=True)


def dump(case: Case, folder: Path) -> None:
    """NAME.npz with (N, H, W, 3) uint8 each: guides, processed, and clean where it is known."""
    arrays: dict[str, Any] = {"guides": np.stack(case.guides), "processed": np.stack(case.processed)}
    if case.clean is not None:
        arrays["clean"] = np.stack(case.clean)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{case.name}.npz", **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="cases with this in their names")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cache", type=Path, required=True, help="a folder for what style networks make")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--dump", type=Path, help="write NAME.npz of each into this folder")
    options = parser.parse_args()
    for case in chosen(plan(Store(options.cache), options.data, options.frames), options.only):
        known = ""
        if case.clean is not None:
            db = np.mean([psnr(p, c) for p, c in zip(case.processed, case.clean, strict=True)])
            known = f"{db:6.1f} dB to the clean"
        print(f"{case.name:32}{len(case.guides):4} frames  {known}", flush=True)
        if options.dump:
            dump(case, options.dump)


if __name__ == "__main__":
    main()
