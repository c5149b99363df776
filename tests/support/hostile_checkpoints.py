"""Hostile files in other tools' formats: code in pickles, lies about sizes, paths outside, loops without end, misfits.

None may run anything, leave anything, or take long or much memory; each is refused in one line, but for those that may
also be taken for what they pretend to be.
"""

from __future__ import annotations

from pathlib import Path

from hostile_parts import bad_onnx, bad_tables, bad_tensors, bad_zips, misfits, pickles
from hostile_parts.maker import Hostile, Maker
from peer_networks.pix2pix_cyclegan import ResnetGenerator

__all__ = ["Hostile", "write_hostile"]


def write_hostile(folder: Path, marker: Path) -> list[Hostile]:
    """Write all hostile files and return what they are.

    Args:
        folder: Where each gets a folder of its own, beside files that none may read.
        marker: An absolute path that does not exist. Code in a file that runs makes it.
    """
    state = ResnetGenerator(3, 3, 6, 1, "batch").state_dict()
    maker = Maker(folder, marker)
    folder.mkdir(parents=True, exist_ok=True)
    for part in (pickles, bad_tensors, bad_zips, bad_tables, misfits):
        part.write(maker, state)
    bad_onnx.write(maker)
    return maker.entries
