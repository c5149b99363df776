"""The preset `edges-live` beside `edges`, on clips that neither has seen, as other cameras would have taken them.

    python -m benchmarks.live.edges ../shared/data --cache DIR [--steps 1500] [--size 128] [--choose | --kept]

Both are trained on the same frames of several clips, as many steps, and rendered onto other clips that were made
darker, noisier, softer … (``edges_cameras``). ``own``: PSNR in dB of the output to the same model's output of the
undisturbed frame, which says how much a model cares for the camera; psnr and ssim: to the undisturbed frame, whose
colours a model cannot know; warping error: of the output along the motion of the undisturbed clip, in 1e-5; sharpness
relative to the undisturbed frame's. Each as ``edges → edges-live``.

``--choose`` scores on the clips that the ranges of the preset were chosen on instead; ``--kept`` on frames of the
learned clips that were kept from training, the same subjects before another camera. Models and a sheet of pictures
are kept in DIR: a second run only scores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import groupby, product
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks.live.edges_cameras import CAMERAS, Frames
from vidtrans.config.recipe import make_recipe
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Size, Table
from vidtrans.data.dataset import open_dataset
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import PSNR_CAP, psnr
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.base import Pairing, make_pairing
from vidtrans.training.set_up import use_huge_pages
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.plots.layout import ContactSheet, cell_size

LEARNED = ("dog.mp4", "juggle.mp4", "flower.mp4", "bikes_5cuts.mp4", "friday.mp4", "bigbuckbunny_720p.mp4")
CHOSEN = ("cockatoo_yuv420.mp4", "wolf_512.mp4")
SCORED = ("asl_walk.mkv", "carphone_176x144.mp4", "stream-of-water.mp4", "phone_vfr_rot180.mp4")
Row = np.ndarray
PRESETS = ("edges", "edges-live")
COLUMNS = ("own", "psnr", "ssim", "warping_error", "sharpness")  # all but the first of the scorer's summary
QUIET = {"checkpoint_seconds": 1e9, "preview_seconds": 1e9, "val_interval": 10**9}
FRAME_STEP = 2  # of what is learned from
SHEET_FRAME = 8  # or the last one


class Renderer:
    """A trained model and the pairing that makes its inputs, frame by frame as a live render does."""

    def __init__(self, model: Path) -> None:
        generator, record = load_generator(model)
        self.engine = TorchEngine(generator, resolve_device("cpu"), batch=1)
        self.pairing: Pairing = make_pairing(record.pairing["name"], record.pairing["settings"])

    def __call__(self, frames: Frames) -> Frames:
        return [self.engine(self.pairing.input([frame])[None])[0] for frame in frames]


def train(preset: str, options: argparse.Namespace) -> Path:
    """The model of a preset, trained where it is not in the cache. Raises VidtransError."""
    training: Table = {**QUIET, "steps": options.steps}
    settings = {"dataset": {"size": str(options.size), "frame_step": FRAME_STEP}, "training": training}
    pairing = make_recipe(preset, None, settings).tables["pairing"]
    name = f"{preset}-{options.size}-{options.steps}-{digest_of(pairing)[:8]}"
    model: Path = options.cache / f"{name}.safetensors"
    if not model.exists():
        sources = [options.data / "video" / clip for clip in LEARNED]
        folder, shared = options.cache / f"{name}.dataset", {"cache_dir": options.cache / "vidtrans", "device": "cpu"}
        vidtrans.make_dataset(sources, folder, preset=preset, settings=settings, overwrite=True, **shared)
        began = time.perf_counter()
        vidtrans.train(folder, model, preset=preset, settings={"training": training}, overwrite=True, **shared)
        print(f"{preset}: {options.steps} steps in {time.perf_counter() - began:.0f} s", flush=True)
    return model


def read(path: Path, options: argparse.Namespace) -> Frames:
    with ClipReader(path, FrameFormat(Size(short=options.size))) as reader:
        return [frame.rgb for frame in reader.frames(0, options.frames)]


def read_kept(folder: Path, options: argparse.Namespace) -> dict[str, Frames]:
    """The longest block of frames of each clip of a dataset that was kept from training."""
    dataset, found = open_dataset(folder), dict[str, Frames]()
    for source in range(len(dataset.sources)):
        own = [record for record in dataset.records if record.source == source]
        blocks = [list(block) for role, block in groupby(own, key=lambda r: (r.role, r.shot)) if role[0] == "val"]
        longest = max(blocks, key=len, default=[])[: options.frames]
        if longest:
            found[Path(LEARNED[source]).stem] = [read_picture(folder / record.file) for record in longest]
    return found


def score(clean: Frames, made: Sequence[Frames], undisturbed: Sequence[Frames]) -> Row:
    """(5, 2) float64: for each of COLUMNS the figure of ``edges`` and that of ``edges-live``."""
    scorer, own = Scorer(), []
    for number, frame in enumerate(clean):
        usual, live = (frames[number] for frames in made)
        scorer.add(frame, live, usual, frame, starts_shot=number == 0)
        own.append([min(psnr(m[number], u[number]), PSNR_CAP) for m, u in zip(made, undisturbed, strict=True)])
    summary = scorer.scores().summary
    return np.array([np.mean(own, axis=0), *([summary[f"{c}_per_frame"], summary[c]] for c in COLUMNS[1:])], float)


def measure(clips: dict[str, Frames], renderers: Sequence[Renderer]) -> dict[str, Row]:
    """The mean over the clips for each camera."""
    rows: dict[str, Row] = {}
    undisturbed = {clip: [renderer(frames) for renderer in renderers] for clip, frames in clips.items()}
    print(f"| camera | {' | '.join(c.replace('_', ' ') for c in COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for name, camera in CAMERAS.items():
        found = []
        for clip, frames in clips.items():
            seen = camera(frames)
            found.append(score(frames, [renderer(seen) for renderer in renderers], undisturbed[clip]))
        rows[name] = np.mean(found, axis=0)
        print(line(name, rows[name]), flush=True)
    return rows


def line(name: str, row: Row) -> str:
    cells = []
    for column, (usual, live) in zip(COLUMNS, row, strict=True):
        if column == "warping_error":
            cells.append(f"{1e5 * usual:.0f} → {1e5 * live:.0f} ({live / usual:.2f})")
        elif column in ("own", "psnr"):
            cells.append(f"{usual:.2f} → {live:.2f} ({live - usual:+.2f})")
        else:
            cells.append(f"{usual:.3f} → {live:.3f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def draw(clips: dict[str, Frames], renderers: Sequence[Renderer], path: Path) -> None:
    """A sheet of one frame of each clip as the cameras see it, the lines found in it and what the models make of it."""
    rows, notes = [], []
    for clip, (name, camera) in product(clips, CAMERAS.items()):
        seen = camera(clips[clip])[min(SHEET_FRAME, len(clips[clip]) - 1)]
        row = [seen]
        for renderer in renderers:
            row += [renderer.pairing.preview(renderer.pairing.input([seen])), renderer([seen])[0]]
        rows.append(row)
        notes.append([f"{clip.split('.')[0]}: {name}"])
    columns = ("camera", *(f"{preset}{what}" for preset in PRESETS for what in (": lines", "")))
    write_picture(
        path, ContactSheet("edges-live beside edges", rows, cell_size(rows[0][0], 320), columns, notes).draw()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder with the clips in video/")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for all that is made")
    parser.add_argument("--steps", type=int, default=1500, help="of each training")
    parser.add_argument("--size", type=int, default=128, help="short side in pixels, in training and after it")
    parser.add_argument("--frames", type=int, default=16, help="of each clip that is scored")
    parser.add_argument("--choose", action="store_true", help="score on the clips that the ranges were chosen on")
    parser.add_argument("--kept", action="store_true", help="score on frames of the learned clips, kept from training")
    options = parser.parse_args()
    use_huge_pages()
    options.cache.mkdir(parents=True, exist_ok=True)
    models = [train(preset, options) for preset in PRESETS]
    renderers = [Renderer(model) for model in models]
    if options.kept:
        clips = read_kept(models[0].with_suffix(".dataset"), options)
    else:
        names = CHOSEN if options.choose else SCORED
        clips = {name: read(options.data / "video" / name, options) for name in names}
    rows = measure(clips, renderers)
    print(line("mean of the disturbed", np.mean(list(rows.values())[1:], axis=0)))
    kind = "kept" if options.kept else "chosen" if options.choose else "scored"
    draw(clips, renderers, options.cache / f"sheet-{kind}.png")


if __name__ == "__main__":
    main()
