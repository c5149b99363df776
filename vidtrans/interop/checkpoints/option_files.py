"""Read the options that a training of pytorch-CycleGAN-and-pix2pix, CUT or pix2pixHD leaves beside its checkpoints.

``train_opt.txt`` or ``opt.txt`` has a line ``name: value`` for each option, some with ``[default: …]`` behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vidtrans.core.settings import Table

FILES = ("train_opt.txt", "opt.txt", "test_opt.txt")
MAX_BYTES = 1 << 20
SIDES = ("crop_size", "fineSize", "load_size", "loadSize")  # the first of them is the size that a network saw
UNPAIRED = ("cycle_gan", "cut", "fastcut", "sincut")  # models whose input is the frame itself


def in_our_terms(options: Mapping[str, str]) -> Table:
    """Return what options by their own names say in our terms: ``size``, ``pairing``, ``notes``; {} without any."""
    found: Table = {}
    side = next((options[name] for name in SIDES if options.get(name, "").isdecimal()), "")
    if side and 16 <= (short := _short_side(int(side), options.get("aspect_ratio", ""))) <= 8192:
        found["size"] = short
    if options.get("model", "").lower() in UNPAIRED:
        found["pairing"] = {"name": "aligned", "settings": {}}
    said = [
        f"{name} {options[name]}" for name in ("model", "netG", "norm", "direction", "preprocess") if name in options
    ]
    if said:
        found["notes"] = (f"its options say: {', '.join(said)}"[:300],)
    return found


def _short_side(width: int, aspect_ratio: str) -> int:
    """Return the short side of SPADE's pictures, whose ``crop_size`` is their width; others have no aspect ratio."""
    number = float(aspect_ratio) if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,6})?", aspect_ratio) else 1.0
    return round(width / max(number, 1.0))


def read_options(checkpoint: Path) -> dict[str, str]:
    """Return the options beside a checkpoint by their own names, as text; {} without."""
    for name in FILES:
        path = checkpoint.parent / name
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            text = path.read_text("utf-8", "replace")
            parts = (line.partition(":") for line in text.splitlines())
            return {name.strip(): rest.partition("[default:")[0].strip() for name, _, rest in parts}
    return {}
