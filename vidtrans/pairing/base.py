"""The interface of pairings, for the dataset builder, the loader and the renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from vidtrans.pairing.class_colours import ClassColours

if TYPE_CHECKING:
    from torch import Tensor

DrawingKind = Literal["", "lines", "flats"]  # lines on paper, or flat areas
PLAIN_OPERATORS = "vidtrans.pairing.operators:PairingOperators"  # where the input is the frame itself


@dataclass(frozen=True)
class Extraction:
    """A request for a picture made by another network, the extractor, from each frame; it is part of the input.

    Pairings import no models, so they only describe the request. Other packages make the picture and pass it on like
    the guides of a frame (``Frame.guides``): ``data`` as a file beside each frame of a dataset,
    ``rendering.extraction`` as a cached stage of a render, or at once for a camera's frames and single ones.
    """

    model: str  # the extractor's file or name
    digest: str = ""  # the SHA-256 (hex) of its file's content; '' accepts any content
    size: int = 0  # the short side in pixels at which it sees a frame; 0: its own


@dataclass(frozen=True)
class PairPositions:
    """A pair within a shot: the positions, counted from the shot's first frame, of the input frames and the target."""

    inputs: tuple[int, ...]
    target: int
    phase: float | None = None  # its position on the clock, in [0, 1), for pairings with a clock


class Pairing:
    """A method that makes (input, target) pairs of frames. It is built from its ``Settings`` and has no state.

    All pictures are uint8 (or uint16, see ``deep`` and ``finish``), the same size within a call; frames and outputs are
    (H, W, 3), the network's input is (H, W, in_channels), masks are (H, W). The defaults suit a pairing whose input is
    the frame itself.
    """

    name: ClassVar[str]  # in the registry
    version: ClassVar[int]  # developers raise it when the pictures that it makes change
    Settings: ClassVar[type]
    needs_target: ClassVar[bool] = False  # the target comes from a second clip or folder, not from the frame itself
    has_target: ClassVar[bool] = True  # the target is what the output should be; previews show it beside the output
    uses_mask: ClassVar[bool] = False  # ``render_input`` depends on the mask
    needs_matte: ClassVar[bool] = False  # it depends on the clip's matte, without which nothing is rendered
    pointwise: ClassVar[bool] = False  # in training, an input pixel depends only on that of the frames; not random
    at_source_size: ClassVar[bool] = False  # the default size of a render is the source's, not the training size
    finishes: ClassVar[bool] = False  # the class overrides ``finish``
    drawing_kind: DrawingKind = ""  # the drawings that ``drawing_input`` takes; '' for none
    tunable: ClassVar[tuple[str, ...]] = ()  # settings worth changing in a render, the best first
    has_tensor_form: ClassVar[bool] = False  # ``tensor_input`` does on tensors exactly what ``input`` does
    deep = False  # ``input`` takes 16-bit frames; otherwise frames are converted to 8 bits first
    in_channels = 3  # of the network's input
    min_frames = 1  # of the shortest shot that gives a pair
    upscale_factor = 1  # how many times larger than its source a render is
    operators = ""  # "module:Class" of the network module that computes the input in exported files; '' for none
    operators_refusal = "it does not say how it is written as operators"  # the end of an error message
    guides: tuple[str, ...] = ()  # names of the pictures that stand for a frame if the source is a folder of guides
    extraction: Extraction | None = None  # of each frame; its picture is the last of the ``frames``
    # The classes of a target that is a label map, each of which is a channel of the network, whose output is one of
    # their colours; None for a picture.
    class_colours: ClassColours | None = None
    offsets: tuple[int, ...] = (0,)  # of the frames that make an input, relative to the rendered one, oldest first
    stride = 1  # frames from a pair to the pair that follows it in time
    is_told = False  # the input ends with planes of what the network is told, see ``next_frame``
    has_clock = False  # it is told the position of a clock

    def __init__(self, settings: Any) -> None:  # noqa: ANN401  (of the class Settings)
        self.settings = settings

    @property
    def fills_holes(self) -> bool:
        """Return whether the output replaces the frame within the mask only."""
        return self.uses_mask and self.finishes

    @property
    def pictures_per_frame(self) -> int:
        """Return how many pictures ``input`` takes per frame: the frame or its guides, and an extracted picture."""
        return max(1, len(self.guides)) + (self.extraction is not None)

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the positions of each pair of a shot of ``num_frames`` frames."""
        for position in range(num_frames):
            yield PairPositions((position,), position)

    def stored(self, frame: np.ndarray) -> np.ndarray:
        """Return what a dataset stores of a frame, and takes as the target if there is no other, (H, W, 3) uint8."""
        return frame

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the network's input, (H, W, in_channels), from its frames' pictures, oldest first; not random."""
        return frames[0]

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Return the input for batches of frames on any device, (N, H, W, 3) uint8, or int32 instead of uint16.

        Called only if ``has_tensor_form``; if ``uses_mask``, the last tensor is the ``mask_plane`` (N, H, W, 1).
        """
        return frames[0]

    def mask_plane(self, size: tuple[int, int], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return the plane, (H, W, 1) uint8, of frame ``number``'s mask for ``tensor_input``. ``size``: (H, W)."""
        raise NotImplementedError

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return the network's input in training, by default ``input``; subclasses draw noise or holes from ``rng``."""
        return self.input(frames)

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return the network's input for frame ``number`` of a rendered clip and its mask, (H, W) uint8, or None."""
        return self.input(frames)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the network's input for a drawing, (H, W, 3) uint8, whose strokes or areas are the input."""
        raise NotImplementedError

    @property
    def swatches(self) -> list[tuple[str, str]]:
        """Return the colours of drawings in ``flats``, '#rrggbb', and what each means; [] if they may have any."""
        return []

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Return the output with parts restored from the frame, such as its luma; both uint8, or both uint16."""
        return output

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the network's input as a picture for people.

        With fewer than three channels, the first as grey; with a multiple of three, the last three (the latest frame);
        else the first three.
        """
        channels = net_input.shape[2]
        if channels < 3:
            return np.repeat(net_input[..., :1], 3, axis=2)
        return net_input[..., -3:] if channels % 3 == 0 else net_input[..., :3]

    def agreement(self, net_input: np.ndarray, output: np.ndarray) -> float | None:
        """Return the share, 0 to 1, of ``net_input`` that equals the input made of ``output``; None if unsupported."""
        return None


def input_frames(pairing: Pairing, position: int, first: int) -> tuple[int, ...]:
    """Return the numbers of the input frames for frame ``position`` of a shot, oldest first.

    ``first``: the shot's first frame, which is repeated in place of frames before it.
    """
    return tuple(max(first, position + offset) for offset in pairing.offsets)
