"""People found without painting: beside the truth on DAVIS 2016, and laid over other backgrounds.

    python -m benchmarks.masks.people DAVIS DATA --cache DIR

``DAVIS``: the folder with JPEGImages/480p and Annotations/480p. *person* is ``matte --person``, one person; *all* the
mask ``person``, everybody. Only *alone* sequences show one person and nothing that belongs to the truth beside him; of
the others the truth has a vehicle or a board, too. *hint*: the box around the truth that ``--at`` chose. J is the
intersection over union, jitter the movement of the edge beyond the truth's, in pixels. ``DATA``: a folder with video
and photo: people are found in clips, laid with the found matte over photographs, and found again. There the first matte
is the truth; *alpha* is the mean of |alpha - truth|. *ms* is processor time for a frame, with decoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.matte.bench import Masks, Sequence
from benchmarks.tables import head, row
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import parse_mask
from vidtrans.core.settings import Time
from vidtrans.masking.found_masks import open_mask
from vidtrans.metrics.label_scores import jitter, region
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture, resize, write_picture

ALONE = {"dance-twirl": "", "parkour": "", "breakdance": "225,4,424,451@0"}
BESIDE = {"scooter-black": "", "motocross-jump": "", "kite-surf": "", "paragliding-launch": "", "bmx-trees": ""}
CLIPS = ("asl_walk.mkv", "carphone_176x144.mp4", "juggle.mp4", "bikes_5cuts.mp4", "dog.mp4")
FRAMES, GROUNDS = 48, 2  # Frames of a clip that are laid over a photograph; photographs for each clip


def mattes(context: Context, clip: Clip, frames: int) -> Masks:
    """Return the mattes of everybody in a clip, (H, W) uint8."""
    mask = open_mask(parse_mask("person"), clip, 0, frames, context)
    with closing(mask.mattes((clip.index.width, clip.index.height), 0)) as reader:
        return [reader(number) for number in range(frames)]


def one_person(context: Context, sequence: Sequence, hint: str, folder: Path) -> Masks | None:
    """Return the masks of one person by ``matte --person``, (H, W) bool; None if nobody is found or chosen."""
    output = folder / f"{sequence.name}.mkv"
    try:
        vidtrans.matte(sequence.folder, output, person=True, at=hint, cache_dir=context.cache_dir, overwrite=True)
    except UsageError as error:
        print(f"{sequence.name}: {error}")
        return None
    clip = open_clip(context, output)
    with closing(clip.frames(FrameFormat(), 0)) as frames:
        return [frame.rgb[..., 0] >= 128 for frame in frames]


def davis(options: argparse.Namespace, context: Context) -> None:
    """Print the table of DAVIS."""
    head("sequence", "hint", "person J", "jitter", "all J")
    alone = []
    for name, hint in (ALONE | BESIDE).items():
        sequence = Sequence(options.davis, name)
        truth = sequence.truth()
        found = one_person(context, sequence, hint, options.cache)
        clip = open_clip(context, sequence.folder)
        every = [matte >= 128 for matte in mattes(context, clip, clip.index.num_frames)]
        scores = [
            float(np.mean([region(a, b) for a, b in zip(each, truth, strict=True)]))
            for each in (found or [], every)
            if each
        ]
        one = scores[0] if found else 0.0
        alone += [one] if name in ALONE else []
        moves = f"{jitter(found, truth):.2f}" if found else "–"
        row(name, hint or "–", f"{one:.3f}", moves, f"{scores[-1]:.3f}")
    row("mean of those alone", "", f"{np.mean(alone):.3f}", "", "")


def laid_over(clip: Clip, alpha: Masks, ground: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the frames of a clip, (H, W, 3) uint8, with its people before a photograph."""
    behind = resize(ground, clip.index.width, clip.index.height).astype(np.float32)
    with closing(clip.frames(FrameFormat(), 0, 0, len(alpha))) as frames:
        for frame, matte in zip(frames, alpha, strict=True):
            share = matte[..., None].astype(np.float32) / 255
            yield np.rint(frame.rgb * share + behind * (1 - share)).astype(np.uint8)


def composites(options: argparse.Namespace, context: Context) -> None:
    """Print the table of people over other backgrounds."""
    photographs = sorted(harness.need(options.data / "photo" / "kodak").glob("*.*"))
    head("clip", "ground", "J", "alpha", "ms")
    errors = []
    for number, name in enumerate(CLIPS):
        clip = open_clip(context, harness.need(options.data / "video" / name), until=Time(frame=FRAMES))
        truth = mattes(context, clip, min(FRAMES, clip.index.num_frames))
        for ground in (photographs[(number * GROUNDS + k) % len(photographs)] for k in range(GROUNDS)):
            folder = options.cache / f"{clip.path.stem}-{ground.stem}"
            folder.mkdir(exist_ok=True)
            for place, frame in enumerate(laid_over(clip, truth, read_picture(ground))):
                write_picture(folder / f"{place:04d}.png", frame)
            laid, began = open_clip(context, folder), time.process_time()
            found = mattes(context, laid, len(truth))
            took = (time.process_time() - began) / len(truth)
            overlap = np.mean([region(a >= 128, b >= 128) for a, b in zip(found, truth, strict=True)])
            error = np.mean([np.abs(a.astype(int) - b).mean() / 255 for a, b in zip(found, truth, strict=True)])
            errors.append((overlap, error))
            row(name, ground.stem, f"{overlap:.3f}", f"{error:.4f}", f"{1000 * took:.0f}")
    row("mean", "", *(f"{value:.4f}" for value in np.mean(errors, axis=0)), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    context = Context(cache_dir=options.cache / "cache")
    composites(options, context)
    davis(options, context)


if __name__ == "__main__":
    main()
