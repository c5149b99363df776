"""The interface of pairings, for the dataset builder, the loader and the renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from vidtrans.pairing.palettes.class_colours import ClassColours

if TYPE_CHECKING:
    from torch import Tensor

DrawingKind = Literal["", "lines", "flats"]
PLAIN_OPERATORS = "vidtrans.pairing.operators.base:PairingOperators"  # where the input is the frame itself


@dataclass(frozen=True)
class Extraction:
    """A request for a picture made by another network, the extractor, from each frame; it is part of the input.

    Pairings import no models, so they only describe the request. Other packages make the picture and pass it on like
    the guides of a frame (``Frame.guides``): ``data`` as a file beside each frame of a dataset,
    ``rendering.extraction`` as a cached stage of a render, or at once for a camera's frames and single ones.

    Attributes:
        model: The extractor's file or name.
        digest: The SHA-256 (hex) of its file's content; '' accepts any content.
        size: The short side in pixels at which it sees a frame; 0: its own.
    """

    model: str
    digest: str = ""
    size: int = 0


@dataclass(frozen=True)
class PairPositions:
    """A pair within a shot: the positions, counted from the shot's first frame, of the input frames and the target.

    ``phase``: the pair's position on the clock, in [0, 1), for pairings with a clock.
    """

    inputs: tuple[int, ...]
    target: int
    phase: float | None = None


class Pairing:
    """A method that makes (input, target) pairs of frames. It is built from its ``Settings`` and has no state.

    All pictures are uint8 (or uint16, see ``deep`` and ``finish``), the same size within a call; frames and outputs are
    (H, W, 3), the network's input is (H, W, in_channels), masks are (H, W). The defaults suit a pairing whose input is
    the frame itself.

    Attributes:
        name: Its name in the registry.
        version: Number that developers raise when the pictures that it makes change.
        Settings: The class of its settings.
        needs_target: The target comes from a second clip or folder, not from the frame itself.
        has_target: The target is what the output should be, so that previews show it beside the output.
        uses_mask: ``render_input`` depends on the mask.
        needs_matte: It depends on the matte of the clip's own thing, without which nothing is rendered.
        pointwise: In training, an input pixel depends only on the same pixel of the frames, and nothing is random.
        at_source_size: The default size of a render is the source's, not the training size.
        deep: ``input`` takes 16-bit frames; otherwise frames are converted to 8 bits first.
        finishes: The class overrides ``finish``.
        drawing_kind: The drawings that ``drawing_input`` takes, 'lines' on paper or 'flats'; '' for none.
        tunable: The settings worth changing in a render, the one to try first at the beginning.
        in_channels: Channels of the network's input.
        min_frames: Number of frames of the shortest shot that gives a pair.
        upscale_factor: How many times larger than its source a render is.
        guides: Names of the pictures that stand for a frame if the source is a folder of guides; else empty.
        extraction: The picture extracted from each frame, the last of the ``frames`` of ``input``; None for none.
        offsets: Numbers of the frames that make an input, relative to the rendered one, oldest first.
        stride: Number of frames from a pair to the pair that follows it in time.
        class_colours: The classes of a target that is a label map, None for a picture. The network has a channel for
            each, and its output is one of their colours.
        is_told: The network's input ends with planes of what it is told, see ``told_planes``.
        has_clock: It is told the position of a clock.
        has_tensor_form: ``tensor_input`` computes on tensors exactly what ``input`` computes on arrays.
        operators: "module:Class" of the network module that computes the input in exported files; '' for none.
        operators_refusal: Why the pairing has no operators, as the end of an error message.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Settings: ClassVar[type]
    needs_target: ClassVar[bool] = False
    has_target: ClassVar[bool] = True
    uses_mask: ClassVar[bool] = False
    needs_matte: ClassVar[bool] = False
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
    class_colours: ClassColours | None = None
    offsets: tuple[int, ...] = (0,)
    stride = 1
    is_told = False
    has_clock = False

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
        """Return the picture that a dataset stores of a frame, (H, W, 3) uint8 both; the target, if that is no other's.

        By default the frame itself.
        """
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
