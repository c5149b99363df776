"""Edges of mattes where the true alpha is known: three things of our own making, laid over real frames.

    python -m benchmarks.matte.composites CLIP --cache DIR [--steps N]

``CLIP``: what lies behind. The things: *hair*, a head with strands that sway; *blur*, a ball so fast that each frame
shows its way; *fur*, a rim of short hairs in many directions. Each is painted on its middle frame by its true alpha,
and followed through the other frames. *alpha* is the mean error of alpha, in levels of 255, where the true one or the
one found is neither 0 nor 1; *plain* the same with ``--edge plain``, the matte as the network gives it. *rim* is how
far the colours of ``--with-colours`` are from the thing's true ones, in levels, weighted by the true alpha, where it is
between 5 and 95 %: what of the old background is left in the edge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.store import Store
from benchmarks.tables import head, row
from vidtrans.clips.indexing import open_clip
from vidtrans.core.settings import Size, Table
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture

SIZE, COUNT, FINE = (640, 360), 25, 2  # width, height; frames; supersampling
PAINTED = COUNT // 2
FULL = 255
Alpha = Callable[[float], np.ndarray]


def ellipse(alpha: np.ndarray, centre: tuple[float, float], axes: tuple[float, float]) -> None:
    """Draw a filled ellipse, in pixels of the result."""
    at, size = (tuple(round(FINE * value) for value in pair) for pair in (centre, axes))
    cv2.ellipse(alpha, at, size, 0, 0, 360, 1.0, -1, cv2.LINE_AA)


def strands(moment: float, seed: int, count: int, length: float, sway: float, spread: float) -> np.ndarray:
    """Return the alpha of a head with hairs, (H, W) float32, at a moment from 0 to 1."""
    rng = np.random.default_rng(seed)
    width, height = (FINE * side for side in SIZE)
    alpha = np.zeros((height, width), np.float32)
    centre = np.array([0.35 + 0.3 * moment, 0.48]) * SIZE
    axes = np.array([58.0, 74.0])
    ellipse(alpha, tuple(centre), tuple(axes))
    for angle in rng.uniform(0, 2 * np.pi, count):
        root = centre + axes * 0.97 * (np.cos(angle), np.sin(angle))
        way = angle + rng.uniform(-spread, spread) + sway * np.sin(2 * np.pi * (moment + rng.uniform(0, 0.2)))
        reach, bend = length * rng.uniform(0.5, 1.0), rng.uniform(-0.9, 0.9)
        steps = np.linspace(0, 1, 12)[:, None]
        turn = way + bend * steps
        points = root + reach * steps * np.hstack([np.cos(turn), np.sin(turn)])
        line = np.rint(FINE * points * 16).astype(np.int32)
        cv2.polylines(alpha, [line], False, 1.0, 1 if rng.random() < 0.7 else 2, cv2.LINE_AA, 4)
    return alpha


def ball(moment: float) -> np.ndarray:
    """Return the alpha of a ball in flight, averaged over the time that the shutter is open."""
    whole = np.zeros((FINE * SIZE[1], FINE * SIZE[0]), np.float32)
    times = moment + np.linspace(-0.5, 0.5, 24) * 0.6 / COUNT
    for time in times:
        one = np.zeros_like(whole)
        ellipse(one, (70 + 500 * time, 240 - 160 * np.sin(np.pi * time)), (46, 46))
        whole += one / len(times)
    return whole


THINGS: dict[str, Alpha] = {
    "hair": partial(strands, seed=1, count=420, length=46, sway=0.25, spread=0.5),
    "blur": ball,
    "fur": partial(strands, seed=2, count=2600, length=13, sway=0.1, spread=1.3),
}


def frames_of(name: str, ground: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the picture, the true alpha (H, W) float32 and the true colours (H, W, 3) float32 of each frame."""
    rng = np.random.default_rng(7)
    skin = cv2.resize(rng.uniform(90, 235, (9, 16, 3)).astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC)
    skin = np.clip(skin * (1.0, 0.75, 0.55), 0, FULL).astype(np.float32)
    made = []
    for number, under in enumerate(ground):
        moment = number / (COUNT - 1)
        alpha = np.clip(cv2.resize(THINGS[name](moment), SIZE, interpolation=cv2.INTER_AREA), 0, 1)
        colours = np.roll(skin, round(0.3 * moment * SIZE[0]), axis=1)
        picture = under + alpha[..., None] * (colours - under)
        made.append((np.rint(picture).astype(np.uint8), alpha, colours))
    return made


def measure(name: str, ground: list[np.ndarray], options: argparse.Namespace) -> Table:
    """Return the errors of a thing's mattes."""
    frames, folder = frames_of(name, ground), options.cache / name
    for number, (picture, _, _) in enumerate(frames):
        (folder / "clip").mkdir(parents=True, exist_ok=True)
        write_picture(folder / "clip" / f"{number:04d}.png", picture)
    write_picture(folder / "painted.png", grey(frames[PAINTED][1]))
    found: Table = {}
    for edge in ("refined", "plain"):
        vidtrans.matte(
            folder / "clip",
            folder / edge,
            frame=f"{PAINTED}={folder / 'painted.png'}",
            edge=edge,
            with_colours=True,
            settings={"matting": {"steps": options.steps}, "encoding": {"codec": "png"}},
            cache_dir=options.cache / "vidtrans",
            overwrite=True,
        )
        errors, rims = [], []
        for number, (_, alpha, colours) in enumerate(frames):
            if number == PAINTED:
                continue
            made = cv2.cvtColor(cv2.imread(str(folder / edge / f"{number:04d}.png"), -1), cv2.COLOR_BGRA2RGBA)
            own = made[..., 3].astype(np.float32) / FULL
            band = ((alpha > 0.02) & (alpha < 0.98)) | ((own > 0.02) & (own < 0.98))
            errors.append(FULL * float(np.abs(own - alpha)[band].mean()))
            rim = (alpha > 0.05) & (alpha < 0.95) & (own > 0.05)
            far = np.abs(made[..., :3].astype(np.float32) - colours).mean(2)
            rims.append(float((far * alpha)[rim].sum() / alpha[rim].sum()))
        found[edge] = {"alpha": float(np.mean(errors)), "rim": float(np.mean(rims))}
    return found


def grey(alpha: np.ndarray) -> np.ndarray:
    """Return an alpha as a picture."""
    return np.repeat(np.rint(FULL * alpha).astype(np.uint8)[..., None], 3, axis=2)


def show(options: argparse.Namespace) -> None:
    """Print the table."""
    context = Context(cache_dir=options.cache / "vidtrans")
    clip = open_clip(context, harness.need(options.clip))
    ground = [frame.rgb.astype(np.float32) for frame in clip.frames(FrameFormat(Size(exact=SIZE)), 0, 0, COUNT)]
    store = Store(options.cache)
    head("thing", "alpha", "plain", "of plain", "rim", "rim, plain")
    for name in THINGS:
        made = store.table(
            "composites", f"{name}-{options.steps}-{options.clip.stem}", partial(measure, name, ground, options)
        )
        fine, plain = made["refined"], made["plain"]
        share = fine["alpha"] / plain["alpha"]
        row(
            name,
            f"{fine['alpha']:.1f}",
            f"{plain['alpha']:.1f}",
            f"{share:.2f}",
            f"{fine['rim']:.1f}",
            f"{plain['rim']:.1f}",
        )


def main() -> None:
    parser = harness.parser(__doc__, cache=True)
    parser.add_argument("clip", type=Path, help="a clip of at least 25 frames, which lies behind")
    parser.add_argument("--steps", type=int, default=600, help="of each network")
    show(parser.parse_args())


if __name__ == "__main__":
    harness.run(main)
