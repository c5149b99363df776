"""Read the options that a training of pytorch-CycleGAN-and-pix2pix, CUT or pix2pixHD leaves beside its checkpoints.

``train_opt.txt`` or ``opt.txt`` has a line ``name: value`` for each option, some with ``[default: …]`` behind it.
"""

from __future__ import annotations

from pathlib import Path

from vidtrans.settings import Table

FILES = ("train_opt.txt", "opt.txt", "test_opt.txt")
MAX_BYTES = 1 << 20
SIDES = ("crop_size", "fineSize", "load_size", "loadSize")  # the first of them is the size that a network saw
UNPAIRED = ("cycle_gan", "cut", "fastcut", "sincut")  # models whose input is the frame itself


def read_options(checkpoint: Path) -> Table:
    """Return what the options beside a checkpoint say in our terms: ``size``, ``pairing``, ``notes``; {} without."""
    options = _lines(checkpoint.parent)
    found: Table = {}
    side = next((options[name] for name in SIDES if options.get(name, "").isdecimal()), "")
    if side and 16 <= int(side) <= 8192:
        found["size"] = int(side)
    if options.get("model", "").lower() in UNPAIRED:
        found["pairing"] = {"name": "aligned", "settings": {}}
    said = [
        f"{name} {options[name]}" for name in ("model", "netG", "norm", "direction", "preprocess") if name in options
    ]
    if said:
        found["notes"] = (f"its options say: {', '.join(said)}"[:300],)
    return found


def _lines(folder: Path) -> dict[str, str]:
    for name in FILES:
        path = folder / name
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            text = path.read_text("utf-8", "replace")
            parts = (line.partition(":") for line in text.splitlines())
            return {name.strip(): rest.partition("[default:")[0].strip() for name, _, rest in parts}
    return {}
