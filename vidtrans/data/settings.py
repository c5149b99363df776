"""The settings of the table ``[dataset]``."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import Group, option
from vidtrans.core.settings import Table, to_table


@dataclass(frozen=True)
class DatasetSettings:
    """The settings for the frames that ``make-dataset`` stores and holds out."""

    size: str = option(
        "256", "stored size: short side in pixels, or WxH, or source", Group.OUTPUT, metavar="N|WxH|source", form="main"
    )
    frame_step: int = option(1, "take every n-th frame", Group.TIME, ("--every",), bounds=(1, 10_000), form="main")
    val_fraction: float = option(0.1, "share of the frames kept from training, to score it", bounds=(0.0, 0.5))
    val_block_size: int = option(8, "held-out frames come in blocks of this many", bounds=(1, 1000))
    val_gap: int = option(4, "unused frames on either side of a held-out block", bounds=(0, 1000))
    full_size_pairs: int = option(
        8,
        "with a separate target: held-out pairs also kept at the source's size, to score what is delivered; 0: none",
        bounds=(0, 64),
    )
    cuts: str = option(
        "auto",
        "where shots begin, across which no pair reaches: auto, off, or a file with a frame or a time on each line",
        Group.TIME,
        metavar="auto|off|FILE",
        access="path",
        rare=True,
        form="more",
    )
    drop_duplicates: bool = option(True, "leave out frames that look just like the last one that was taken")
    min_sharpness: float = option(
        0.5, "leave out frames less sharp than this share of those around them; 0 keeps all", bounds=(0.0, 0.95)
    )

    crop_bars: bool = option(True, "of --unpaired: cut black bars off the clips, which a network would learn first")

    def for_key(self, *, has_targets: bool) -> Table:
        """Return the settings that affect pictures and roles, except cuts and bars, which are recorded per source.

        ``has_targets``: whether the pairing has separate targets, so that full-size pairs may be stored.
        """
        others = ("cuts", "crop_bars", *(() if has_targets else ("full_size_pairs",)))
        return {name: value for name, value in to_table(self).items() if name not in others}
