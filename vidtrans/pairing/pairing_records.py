"""Make a pairing from its name and settings, and record it; with a matte, if the record says so.

Any pairing of single frames can have a matte: the network also sees where the thing is, in a last channel of its input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table, from_table, record_table
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, PairPositions

# What a pairing with a matte has as the one that it is made of.
TAKEN = (
    *("name", "version", "needs_target", "has_target", "at_source_size", "finishes", "tunable", "deep", "min_frames"),
    *("upscale_factor", "class_colours", "stride"),
)
# Whose frames and targets are not of one clip, or of a style, or whose classes are found in the files of the frames.
UNFIT = ("matched", "unpaired", "look", "change", "labels", "segment")
MATTE = "matte"  # in a record: the input has the frame's matte


class MatteChannel(Pairing):
    """A pairing whose input ends with the matte of the frame, white on the thing; all else is as in ``inner``.

    Raises UsageError for a pairing whose input is not one frame.
    """

    uses_mask = True
    needs_matte = True
    operators_refusal = "a matte comes beside the frame"

    def __init__(self, inner: Pairing) -> None:
        super().__init__(inner.settings)
        several = inner.offsets != (0,) or inner.guides or inner.extraction or inner.is_told
        if several or inner.uses_mask or inner.name in UNFIT:
            why = f"the input of pairing '{inner.name}' is not one frame of a clip"
            raise UsageError("--matte", why, "use --pairing edges, aligned or another of single frames")
        self.inner = inner
        for attribute in TAKEN:
            setattr(self, attribute, getattr(inner, attribute))
        self.in_channels = inner.in_channels + 1

    @property
    def fills_holes(self) -> bool:
        """Return False: the matte is an input, and no area is filled."""
        return False

    @property
    def pictures_per_frame(self) -> int:
        """Return how many pictures ``input`` takes: the frame and its matte."""
        return 2

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the positions of each pair of a shot."""
        return self.inner.pair_positions(num_frames)

    def stored(self, frame: np.ndarray) -> np.ndarray:
        """Return the picture that a dataset stores of a frame."""
        return self.inner.stored(frame)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the input of a frame (H, W, 3) and its matte, grey (H, W, 3): (H, W, in_channels)."""
        frame, matte = frames
        return _with(self.inner.input([frame]), matte[..., 0])

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return the input in training of a frame and its matte, as ``input``."""
        frame, matte = frames
        return _with(self.inner.training_input([frame], rng), matte[..., 0])

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return the input of a frame of a rendered clip and its matte, (H, W) uint8; black without one."""
        plane = np.zeros(frames[0].shape[:2], np.uint8) if mask is None else mask
        return _with(self.inner.render_input(frames, number, None), plane)

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Return the output with what the pairing restores from the frame."""
        return self.inner.finish(frame, output, net_input[..., :-1])

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the input as a picture for people, darkened outside of the matte."""
        inside = net_input[..., -1:].astype(np.float32) / 255
        return np.rint(self.inner.preview(net_input[..., :-1]) * (0.4 + 0.6 * inside)).astype(net_input.dtype)

    def agreement(self, net_input: np.ndarray, output: np.ndarray) -> float | None:
        """Return the share, 0 to 1, of the input that equals the input made of the output."""
        return self.inner.agreement(net_input[..., :-1], output)


def refuse_matte(name: str, pairing: Pairing) -> None:
    """Raise UsageError for a model, by its name, that needs a matte, where none can be given."""
    if pairing.needs_matte:
        remedy = "render it by vidtrans stylize, with --mask"
        raise UsageError(f"model '{name}'", "it was taught with mattes, which this command does not take", remedy)


def _with(given: np.ndarray, matte: np.ndarray) -> np.ndarray:
    full = np.iinfo(given.dtype).max
    plane = matte if given.dtype == np.uint8 else matte.astype(given.dtype) * (full // 255)
    return np.dstack([given, plane])


def make_pairing(name: str, table: Table) -> Pairing:
    """Return the pairing ``name`` with the settings of ``table``. Raises UsageError on unknown names and keys.

    ``matte`` in the table: its input also has the frame's matte, see ``MatteChannel``.
    """
    cls, has_matte = PAIRINGS.load(name), bool(table.get(MATTE))
    table = {key: value for key, value in table.items() if key != MATTE}
    if cls.name != name:  # it would be recorded under another name than it is found by
        raise UsageError(f"pairing '{name}'", f"its class has the name '{cls.name}'", f"set name = '{name}' in it")
    pairing: Pairing = cls(from_table(cls.Settings, table, "pairing"))
    return MatteChannel(pairing) if has_matte else pairing


def pairing_record(pairing: Pairing) -> Table:
    """Return a pairing's record for datasets, model files and cache keys: name, version, settings, and its plug-in."""
    settings = record_table(pairing.settings) | ({MATTE: True} if isinstance(pairing, MatteChannel) else {})
    return {"name": pairing.name, "version": pairing.version, "settings": settings} | PAIRINGS.origin(pairing.name)
