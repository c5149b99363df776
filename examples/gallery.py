"""Teach the looks that ship, all in one network, from the pictures in ``examples/looks``.

    python examples/gallery.py vidtrans/assets/gallery

The network's convolutions stay as they are, so that all looks can be mixed with each other and with pictures; only the
norms of each look are taught, which began with what was predicted from its picture. Writes ``norms.safetensors``
(16 bits), and a small square of each picture. The training, in the current folder, goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import save_file

import vidtrans
from vidtrans.models.model_file import load_generator
from vidtrans.networks.predicted_style import CHANNELS, NORMED
from vidtrans.video.images.picture import read_picture

STEPS, THUMBNAIL = 2700, 128
CONVOLUTIONS = ["down", *(f"{layer}.conv" for layer in NORMED)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    pictures = sorted(Path(__file__).parent.glob("looks/*.jpg"))
    taught: dict[str, Any] = {"freeze": CONVOLUTIONS, "jitter": 1.25, "lr": 4e-3, "look_style": 0.6}
    settings: dict[str, dict[str, Any]] = {"generator": {"channels": CHANNELS}, "training": taught}
    vidtrans.look(pictures, "gallery.safetensors", steps=options.steps, settings=settings)
    network, record = load_generator(Path("gallery.safetensors"))
    norms = list(network.styles().values())
    looks = record.pairing["settings"]["looks"]
    found = {name: torch.cat([each[number] for each in norms]).half() for number, name in enumerate(looks)}
    options.output.mkdir(exist_ok=True)
    save_file(found, str(options.output / "norms.safetensors"))
    for path in pictures:
        picture = read_picture(path)
        side = min(picture.shape[:2]) * 2 // 3
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        square = picture[top : top + side, left : left + side]
        small = cv2.resize(square, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 80]
        cv2.imwrite(str(options.output / path.name), small[..., ::-1], quality)


if __name__ == "__main__":
    main()
