"""The interface of pairings, for the dataset builder, the loader and the renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from vidtrans.core.settings import Table, from_table, record_table
from vidtrans.pairing import PAIRINGS

if TYPE_CHECKING:
    from torch import Tensor

DrawingKind = Literal["", "lines", "flats"]
PLAIN_OPERATORS = "vidtrans.pairing.operators.base:PairingOperators"  # where the input is the frame itself


@dataclass(frozen=True)
class Extraction:
    """A picture that another network, the extractor, makes of a frame: with the frame it makes an input.

    Pairings import no models, so they only say what they want. The rooms above make the picture and hand it over like
    the guides of a frame (``Frame.guides``): as a file beside each frame of a dataset (``data``), as a cached stage of
    a render, or at once, for a camera and for single frames (``rendering.extraction``).

    Attributes:
        model: The extractor's file or name.
        digest: The SHA-256 (hex) of its file's content; '' where any content will do.
        size: The short side in pixels at which it sees a frame; 0: its own.
    """

    model: str
    digest: str = ""
    size: int = 0


@dataclass(frozen=True)
class PairPositions:
    """A pair within a shot: the positions of the frames that make the input, and that of the target.

    ``phase``: where on the clock it lies, in [0, 1), for pairings that have one.
    """

    inputs: tuple[int, ...]
    target: int
    phase: float | None = None


class Pairing:
    """A way of making pairs, made from its ``Settings``; it has no state.

    All pictures are uint8 (or uint16, see ``deep`` and ``finish``), the same size within a call; frames and outputs are
    (H, W, 3), the network's input is (H, W, in_channels), masks are (H, W). What is not overridden is right for a
    pairing whose input is the frame itself.

    Attributes:
        name: The one in the table.
        version: Raised by hand when the pictures that it makes change.
        Settings: The class of its settings.
        needs_target: The target comes from a second clip or folder, not from the frame itself.
        has_target: The target is what the output should be: people see it beside the output.
        uses_mask: ``render_input`` depends on the mask.
        pointwise: In training, a pixel of its input depends on that pixel of the frames alone, and nothing is drawn.
        at_source_size: It is about single pixels, so it is rendered at the source's size unless the user sets another.
        deep: It takes frames of 16 bits too; otherwise they are brought to 8 bits first.
        finishes: It overrides ``finish``.
        drawing_kind: The drawings that ``drawing_input`` takes, 'lines' on paper or 'flats'; '' for none.
        tunable: The settings worth changing in a render, the one to try first at the beginning.
        in_channels: Channels of the network's input.
        min_frames: The shortest shot that gives a pair.
        upscale_factor: How many times larger than its source a render is.
        guides: The names of the pictures that stand for a frame, where a source is a folder of guides.
        extraction: The picture that stands beside each frame, and comes after it where ``input`` takes pictures.
        offsets: The frames that make an input, relative to the rendered one, oldest first.
        stride: Frames between a pair and the one that follows it in time.
        has_clock: The network sees a clock beside its pictures, see ``clock``.
        has_tensor_form: ``tensor_input`` makes of tensors what ``input`` makes of arrays, bit for bit.
        operators: "module:Class" of what exported files compute in its place, see ``pairing.operators``; '' for none.
        operators_refusal: Why there is none, to end a sentence.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Settings: ClassVar[type]
    needs_target: ClassVar[bool] = False
    has_target: ClassVar[bool] = True
    uses_mask: ClassVar[bool] = False
    pointwise: ClassVar[bool] = False
    at_source_size: ClassVar[bool] = False
    finishes: ClassVar[bool] = False
    drawing_kind: DrawingKind = ""
    tunable: ClassVar[tuple[str, ...]] = ()
    has_tensor_form: ClassVar[bool] = False
    deep = False
    in_channels = 3
    min_frames = 1
    upscale_factor = 1
    operators = ""
    operators_refusal = "it does not say how it is written as operators"
    guides: tuple[str, ...] = ()
    extraction: Extraction | None = None
    offsets: tuple[int, ...] = (0,)
    stride = 1
    has_clock = False

    def __init__(self, settings: Any) -> None:  # noqa: ANN401  (of the class Settings)
        self.settings = settings

    @property
    def pictures_per_frame(self) -> int:
        """Return how many pictures ``input`` takes of each frame: the frame or its guides, and an extracted one."""
        return max(1, len(self.guides)) + (self.extraction is not None)

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the pairs of a shot of ``num_frames`` frames."""
        for position in range(num_frames):
            yield PairPositions((position,), position)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the network's input for raw frames, oldest first; the same every time."""
        return frames[0]

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Return the same for batches of frames on any device, (N, H, W, 3) uint8, or int32 where they are uint16.

        Asked only where ``has_tensor_form``; where ``uses_mask``, the last of them is the ``mask_plane`` (N, H, W, 1).
        """
        return frames[0]

    def mask_plane(self, size: tuple[int, int], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return what ``render_input`` makes of a mask, for ``tensor_input``: (H, W, 1) uint8. ``size``: (H, W)."""
        raise NotImplementedError

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return the network's input in training, where that differs: noise and holes are drawn."""
        return self.input(frames)

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return the network's input for frame ``number`` of a clip that is rendered, under the render's mask."""
        return self.input(frames)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the network's input for a drawing, without looking for what is drawn already."""
        raise NotImplementedError

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Return the network's output with what is known better from the frame put back; both uint8, or both uint16."""
        return output

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the network's input as a picture for people.

        Grey from its first channel, or its first three, or, of several frames, the latest.
        """
        channels = net_input.shape[2]
        if channels < 3:
            return np.repeat(net_input[..., :1], 3, axis=2)
        return net_input[..., -3:] if channels % 3 == 0 else net_input[..., :3]

    def agreement(self, net_input: np.ndarray, output: np.ndarray) -> float | None:
        """Return how much of the input can be read back from the output, 0 to 1; None where that says nothing."""
        return None


def input_frames(pairing: Pairing, position: int, first: int) -> tuple[int, ...]:
    """Return the frames that make the input of frame ``position`` of a shot that starts at ``first``, oldest first.

    Before the shot's start its first frame is repeated.
    """
    return tuple(max(first, position + offset) for offset in pairing.offsets)


def make_pairing(name: str, table: Table) -> Pairing:
    """Return the pairing ``name`` with the settings of ``table``. Raises UsageError on unknown names and keys."""
    cls = PAIRINGS.load(name)
    pairing: Pairing = cls(from_table(cls.Settings, table, "pairing"))
    return pairing


def pairing_record(pairing: Pairing) -> Table:
    """Return what datasets, model files and cache keys say of a pairing: name, version and settings."""
    return {"name": pairing.name, "version": pairing.version, "settings": record_table(pairing.settings)}
