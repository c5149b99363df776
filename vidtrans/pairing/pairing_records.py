"""Create a pairing from its name and settings, and record it; a pairing may include a matte.

Any pairing of single frames can have a matte: the last channel of the network's input then shows where the object is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table, from_table, record_table
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, PairPositions

# Attributes that a pairing with a matte copies from the pairing without it
COPIED_ATTRIBUTES = (
    *("name", "version", "needs_target", "has_target", "at_source_size", "finishes", "tunable", "deep", "min_frames"),
    *("upscale_factor", "class_colours", "stride"),
)
# Pairings that cannot have a matte: their target is not from the same clip, or their classes are found in the files
PAIRINGS_WITHOUT_MATTE = ("matched", "unpaired", "look", "change", "labels", "segment")
MATTE = "matte"  # Key in the settings of a pairing's record; True: the input includes the frame's matte


class MatteChannel(Pairing):
    """The pairing ``inner`` with one more input channel: the frame's matte, white on the object.

    Raises UsageError for a pairing whose input is not one frame.
    """

    uses_mask = True
    needs_matte = True
    operators_refusal = "a matte comes beside the frame"

    def __init__(self, inner: Pairing) -> None:
        super().__init__(inner.settings)
        needs_more_pictures = inner.offsets != (0,) or inner.guides or inner.extraction or inner.has_conditions
        if needs_more_pictures or inner.uses_mask or inner.name in PAIRINGS_WITHOUT_MATTE:
            why = f"the input of pairing '{inner.name}' is not one frame of a clip"
            raise UsageError("--matte", why, "use --pairing edges, aligned or another of single frames")
        self.inner = inner
        for attribute in COPIED_ATTRIBUTES:
            setattr(self, attribute, getattr(inner, attribute))
        self.in_channels = inner.in_channels + 1

    @property
    def fills_holes(self) -> bool:
        """Return False, because the matte is only an input, and no area is filled."""
        return False

    @property
    def pictures_per_frame(self) -> int:
        """Return 2, for the frame and its matte."""
        return 2  # The frame and its matte

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the positions of the pairs of the pairing without a matte."""
        return self.inner.pair_positions(num_frames)

    def stored(self, frame: np.ndarray) -> np.ndarray:
        """Return the picture of a frame that a dataset stores, as the pairing without a matte does."""
        return self.inner.stored(frame)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the network's input of a frame, (H, W, 3), and its grey matte, (H, W, 3): (H, W, in_channels)."""
        frame, matte = frames
        return _append_plane(self.inner.input([frame]), matte[..., 0])

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Compute the network's input in training, with the matte as its last channel."""
        frame, matte = frames
        return _append_plane(self.inner.training_input([frame], rng), matte[..., 0])

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Compute the network's input of a rendered frame and its matte, (H, W) uint8; None is a black matte."""
        plane = np.zeros(frames[0].shape[:2], np.uint8) if mask is None else mask
        return _append_plane(self.inner.render_input(frames, number, None), plane)

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Restore source content in the output, as the pairing without a matte does."""
        return self.inner.finish(frame, output, net_input[..., :-1])

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the preview of the input; areas outside of the matte are darker."""
        inside = net_input[..., -1:].astype(np.float32) / 255
        return np.rint(self.inner.preview(net_input[..., :-1]) * (0.4 + 0.6 * inside)).astype(net_input.dtype)

    def agreement(self, net_input: np.ndarray, output: np.ndarray) -> float | None:
        """Return the agreement of the output with the input without its matte."""
        return self.inner.agreement(net_input[..., :-1], output)


def refuse_matte(name: str, pairing: Pairing) -> None:
    """Raise UsageError if the model ``name`` needs a matte, in commands that accept none."""
    if pairing.needs_matte:
        remedy = "render it by vidtrans stylize, with --mask"
        raise UsageError(f"model '{name}'", "it was taught with mattes, which this command does not take", remedy)


def _append_plane(model_input: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Append a matte, (H, W) uint8, to a network's input as its last channel, in the input's dtype."""
    full = np.iinfo(model_input.dtype).max
    plane = matte if model_input.dtype == np.uint8 else matte.astype(model_input.dtype) * (full // 255)
    return np.dstack([model_input, plane])


def make_pairing(name: str, table: Table) -> Pairing:
    """Create the pairing ``name`` with the settings in ``table``. Raises UsageError for unknown names and keys.

    ``matte`` in the table: the input also includes the frame's matte, see ``MatteChannel``.
    """
    cls, has_matte = PAIRINGS.load(name), bool(table.get(MATTE))
    table = {key: value for key, value in table.items() if key != MATTE}
    if cls.name != name:  # The record would have another name than the registry
        raise UsageError(f"pairing '{name}'", f"its class has the name '{cls.name}'", f"set name = '{name}' in it")
    pairing: Pairing = cls(from_table(cls.Settings, table, "pairing"))
    return MatteChannel(pairing) if has_matte else pairing


def pairing_record(pairing: Pairing) -> Table:
    """Return a pairing's record for datasets, model files and cache keys: name, version, settings and plug-in."""
    settings = record_table(pairing.settings) | ({MATTE: True} if isinstance(pairing, MatteChannel) else {})
    return {"name": pairing.name, "version": pairing.version, "settings": settings} | PAIRINGS.origin(pairing.name)
