"""Hostile files in other tools' formats: code in pickles, lies about sizes, paths outside, loops without end, misfits.

None may run anything, leave anything, or take long or much memory; each is refused in one line, but for those that may
also be taken for what they pretend to be.
"""

from __future__ import annotations

from pathlib import Path

from hostile_parts import (
    bad_onnx,
    bad_pickles,
    bad_picts,
    bad_raw_floats,
    bad_safetensors,
    bad_tensors,
    bad_zips,
    code_pickles,
    misfits,
    odd_onnx,
)
from hostile_parts.maker import Hostile, Maker
from peer_variants import VARIANTS, checkpoint_of

__all__ = ["Hostile", "write_hostile"]

GOOD = "resnet-6-batch-3to3-w1"


def write_hostile(folder: Path, marker: Path) -> list[Hostile]:
    """Write all hostile files and return what they are.

    Args:
        folder: Where each gets a folder of its own, beside files that none may read.
        marker: An absolute path that does not exist. Code in a file that runs makes it.
    """
    variant = next(variant for variant in VARIANTS if variant.name == GOOD)
    state = checkpoint_of(variant, variant.build(0))
    maker = Maker(folder, marker)
    folder.mkdir(parents=True, exist_ok=True)
    for part in (code_pickles, bad_tensors, bad_zips, bad_safetensors, misfits):
        part.write(maker, state)
    for part in (bad_pickles, bad_picts, bad_raw_floats, bad_onnx, odd_onnx):
        part.write(maker)
    return maker.entries
