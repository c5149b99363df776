"""The interface of pairings, which the dataset builder, the data loader and the renderer use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from vidtrans.pairing.class_colours import ClassColours

if TYPE_CHECKING:
    from torch import Tensor

# Kind of drawings that a pairing accepts: none, lines on paper, or flat areas
DrawingKind = Literal["", "lines", "flats"]
# "module:Class" that computes, in exported model files, the input of pairings whose input is the frame itself
PLAIN_OPERATORS = "vidtrans.pairing.operators:PairingOperators"


@dataclass(frozen=True)
class Extraction:
    """A request for a picture that another network (the extractor) makes from each frame for a pairing's input.

    Pairings import no models, so they only describe the request. Other packages make the picture and pass it on like
    the guides of a frame (``Frame.guides``): ``data`` as a file next to each frame of a dataset,
    ``rendering.extraction`` as a cached stage of a render, or immediately for single frames.
    """

    model: str  # The extractor's file or name
    digest: str = ""  # The SHA-256 (hex) of its file's content; '' accepts any content
    size: int = 0  # The short side of its input in pixels; 0: its default


@dataclass(frozen=True)
class PairPositions:
    """A pair within a shot: the positions of its input frames and of its target, from the shot's first frame."""

    inputs: tuple[int, ...]
    target: int
    phase: float | None = None  # Position on the clock, in [0, 1), for pairings with a clock (``has_clock``)


class Pairing:
    """A method that makes (input, target) pairs of frames; it is created from its ``Settings`` and has no state.

    All pictures are uint8 (or uint16, see ``deep`` and ``finish``), the same size within a call; frames and outputs are
    (H, W, 3), the network's input is (H, W, in_channels), masks are (H, W). The defaults suit a pairing whose input is
    the frame itself.
    """

    name: ClassVar[str]  # Name in the registry
    version: ClassVar[int] = 1  # Increased by developers when the pairing's pictures change
    Settings: ClassVar[type]
    needs_target: ClassVar[bool] = False  # The target comes from a second clip or folder, not from the frame
    has_target: ClassVar[bool] = True  # The target is the desired output; previews show it next to the output
    uses_mask: ClassVar[bool] = False  # ``render_input`` depends on the mask
    needs_matte: ClassVar[bool] = False  # ``render_input`` depends on the clip's matte, which a render must have
    pointwise: ClassVar[bool] = False  # In training, an input pixel depends only on the frames' pixel; not random
    at_source_size: ClassVar[bool] = False  # The default size of a render is the source's, not the training size
    finishes: ClassVar[bool] = False  # The class overrides ``finish``
    drawing_kind: DrawingKind = ""  # The kind of drawings that ``drawing_input`` accepts; '' for none
    tunable: ClassVar[tuple[str, ...]] = ()  # Settings worth changing in a render, the best first
    has_tensor_form: ClassVar[bool] = False  # ``tensor_input`` computes exactly the values of ``input`` on tensors
    deep = False  # ``input`` takes 16-bit frames; otherwise frames are converted to 8 bits first
    in_channels = 3  # Number of channels of the network's input
    min_frames = 1  # Number of frames of the shortest shot that gives a pair
    upscale_factor = 1  # Ratio of a render's size to its source's
    operators = ""  # "module:Class" of the network module that computes the input in exported files; '' for none
    operators_refusal = "it does not say how it is written as operators"  # The end of an error message
    guides: tuple[str, ...] = ()  # Names of the pictures of one frame if the source is a folder of guides
    extraction: Extraction | None = None  # The extractor; its picture of a frame is the last of the ``frames``
    # The classes of a target that is a label map. Each class is a channel of the network, and the output has the
    # classes' colours. None for pictures.
    class_colours: ClassColours | None = None
    offsets: tuple[int, ...] = (0,)  # Frames of an input, relative to the rendered frame, oldest first
    stride = 1  # Number of frames from a pair to the pair that follows it in time
    has_conditions = False  # The input ends with condition planes, such as a clip position; see ``next_frame``
    has_clock = False  # The condition planes contain the position of a clock

    def __init__(self, settings: Any) -> None:  # noqa: ANN401  (of the class Settings)
        self.settings = settings

    @property
    def fills_holes(self) -> bool:
        """Return whether the output replaces the frame only within the holes that a mask marks."""
        return self.uses_mask and self.finishes

    @property
    def pictures_per_frame(self) -> int:
        """Return the number of pictures of a frame that ``input`` takes: frame or guides, and the extractor's."""
        return max(1, len(self.guides)) + (self.extraction is not None)

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the positions of the frames of each pair in a shot of ``num_frames`` frames."""
        for position in range(num_frames):
            yield PairPositions((position,), position)

    def stored(self, frame: np.ndarray) -> np.ndarray:
        """Return the picture of a frame that a dataset stores, (H, W, 3) uint8; by default it is also the target."""
        return frame

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the network's input, (H, W, in_channels), from the pictures of one or more frames, oldest first.

        The result is not random.
        """
        return frames[0]

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Compute the input for batches of frames on any device, (N, H, W, 3) uint8, or int32 instead of uint16.

        The method is called only if ``has_tensor_form``. If ``uses_mask``, the last tensor is the ``mask_plane`` (N, H,
        W, 1).
        """
        return frames[0]

    def mask_plane(self, size: tuple[int, int], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return the mask plane of frame ``number`` for ``tensor_input``, (H, W, 1) uint8. ``size``: (H, W)."""
        raise NotImplementedError

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Compute the network's input in training, by default ``input``; subclasses add noise or holes by ``rng``."""
        return self.input(frames)

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Compute the network's input for frame ``number`` of a rendered clip and its mask, (H, W) uint8 or None."""
        return self.input(frames)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Compute the network's input from a drawing, (H, W, 3) uint8, which replaces lines or areas of a frame."""
        raise NotImplementedError

    @property
    def swatches(self) -> list[tuple[str, str]]:
        """Return the colours for drawing flat areas as ("#rrggbb", meaning); [] if all colours are allowed."""
        return []

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Return the output with source content of the frame restored, such as its luma.

        ``frame`` and ``output``: (H, W, 3) uint8, or both uint16. ``net_input``: the network's input for the frame.
        """
        return output

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Convert the network's input to a picture that people can view, (H, W, 3).

        The picture has the first channel if there are fewer than three channels, the last three (the latest frame) of a
        multiple of three, and else the first three.
        """
        channels = net_input.shape[2]
        if channels < 3:
            return np.repeat(net_input[..., :1], 3, axis=2)
        return net_input[..., -3:] if channels % 3 == 0 else net_input[..., :3]

    def agreement(self, net_input: np.ndarray, output: np.ndarray) -> float | None:
        """Return the share of pixels, 0 to 1, at which the input computed from ``output`` equals ``net_input``.

        Returns None if the pairing does not support this.
        """
        return None


def input_frames(pairing: Pairing, position: int, first: int) -> tuple[int, ...]:
    """Return the numbers of the frames from which the input for frame ``position`` is made, oldest first.

    ``first``: the shot's first frame, which replaces earlier frames.
    """
    return tuple(max(first, position + offset) for offset in pairing.offsets)
