"""The settings of the table ``[dataset]``."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import Group, option
from vidtrans.core.settings import Table, to_table


@dataclass(frozen=True)
class DatasetSettings:
    """The settings for the frames that ``make-dataset`` stores and holds out."""

    size: str = option(
        "256", "stored size: short side in pixels, WxH, or source", Group.OUTPUT, metavar="N|WxH|source", form="main"
    )
    frame_step: int = option(1, "use only every n-th frame", Group.TIME, ("--every",), bounds=(1, 10_000), form="main")
    val_fraction: float = option(
        0.1, "share of the frames that are held out from training, for scores", bounds=(0.0, 0.5)
    )
    val_block_size: int = option(8, "number of consecutive frames in a held-out block", bounds=(1, 1000))
    val_gap: int = option(4, "number of unused frames on both sides of a held-out block", bounds=(0, 1000))
    full_size_pairs: int = option(
        8,
        "with a separate target: number of held-out pairs that are also kept at the source's size, to score "
        "results at full size; 0: none",
        bounds=(0, 64),
    )
    cuts: str = option(
        "auto",
        "cuts between shots: auto (detected), off (none), or a file with the first frame or time of each shot "
        "on a line; no pair crosses a cut",
        Group.TIME,
        metavar="auto|off|FILE",
        access="path",
        rare=True,
        form="more",
    )
    drop_duplicates: bool = option(True, "leave out frames that look the same as the last used frame")
    min_sharpness: float = option(
        0.5,
        "leave out frames whose sharpness is below this share of the sharpness around them; 0 keeps all",
        bounds=(0.0, 0.95),
    )

    crop_bars: bool = option(
        True, "for --unpaired: crop the black bars of clips, because a network would learn them first"
    )

    def for_key(self, *, has_targets: bool) -> Table:
        """Return the settings that affect pictures and roles, except cuts and bars, which are recorded per source.

        ``has_targets``: whether the pairing has separate targets, so that full-size pairs may be stored.
        """
        others = ("cuts", "crop_bars", *(() if has_targets else ("full_size_pairs",)))
        return {name: value for name, value in to_table(self).items() if name not in others}
