"""The pairings "picture → label map" of one frame, or of two frames or clips: the target is the class of each pixel.

The target is a label map in the colours of its classes; the network has a channel for each class
(``networks.wrappers.ClassGenerator``). pix2pix learns both directions of such pairs (Isola et al., CVPR 2017). With two
pictures of a place as input, the label map shows the changes (Daudt et al., "Fully Convolutional Siamese Networks for
Change Detection", ICIP 2018, whose "early fusion" is this stack of channels).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing, PairPositions
from vidtrans.pairing.class_colours import ClassColours, colours, parts_of

GREY_NUMBERS = 256  # Number of grey levels that may be class numbers in a label map
MAX_CLASSES = 256  # Largest number of classes, because an indexed picture has at most 256 colours


@dataclass(frozen=True)
class SegmentSettings:
    """Settings of ``Segment``: the classes of the target label map, and their colours."""

    palette: str = option(
        "",
        "Colours of the classes in order, as in '#804080 #f423e8', a file of colours, or cityscapes, voc, "
        "camvid or facades. Empty: the colours in the label maps.",
    )
    ignore: str = option(
        "",
        "labels that mean 'unlabelled' and are ignored in training: colours or grey levels, as in '#000000' or '255'",
    )
    direction: str = option(
        "AtoB",
        "in folders of pairs: the input side; two clips always go from VIDEO to --target",
        choices=("AtoB", "BtoA"),
    )

    def __post_init__(self) -> None:
        table = colours(self.palette)
        if len(table) > MAX_CLASSES:
            raise ValueError(f"pairing.palette has {len(table)} colours, and there may be {MAX_CLASSES} classes")
        if len(np.unique(table, axis=0)) < len(table):
            raise ValueError("pairing.palette: two classes have the same colour")
        colours(self.ignored_colours, "ignore")

    @property
    def ignored_numbers(self) -> tuple[int, ...]:
        """Return the grey levels in ``ignore``."""
        return tuple(int(part) for part in parts_of(self.ignore) if part.isdecimal() and len(part) < 4)

    @property
    def ignored_colours(self) -> str:
        """Return ``ignore`` as colours; numbers become grey colours. Raises ValueError for a number above 255."""
        if wrong := [number for number in self.ignored_numbers if number >= GREY_NUMBERS]:
            raise ValueError(f"pairing.ignore: {wrong[0]} is no grey level; write 0 to 255, or '#rrggbb'")
        numbers = {str(number): f"#{number * 0x010101:06x}" for number in self.ignored_numbers}
        return " ".join(numbers.get(part, part) for part in parts_of(self.ignore))


class Segment(Pairing):
    """A pairing of a frame with its label map in a second clip or folder."""

    name = "segment"
    needs_target = True
    deep = True
    has_tensor_form = True
    operators = PLAIN_OPERATORS
    Settings = SegmentSettings
    settings: SegmentSettings

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__(settings)
        self.class_colours: ClassColours = ClassColours(settings.palette, settings.ignored_colours)


@dataclass(frozen=True)
class ChangeSettings(SegmentSettings):
    """Settings of ``Change``: the classes of the target, and the two pictures that are compared."""

    guides: tuple[str, ...] = option(
        (),
        "names of the two clips in the folder, as in ['before', 'after']; empty: the two clips of a folder",
    )
    frames_back: int = option(
        5, "for a single clip: number of frames between the two frames that are compared", bounds=(1, 100)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.guides)) not in (0, 2) or not all(self.guides):
            raise ValueError(f"pairing.guides = {list(self.guides)}: two clips are compared; name both, or none")


class Change(Segment):
    """A pairing of two pictures with a label map; they are from two clips in a folder, or two frames of one clip."""

    name = "change"
    in_channels = 6
    deep = False
    has_tensor_form = False
    operators = ""
    operators_refusal = "the input compares two pictures"
    Settings = ChangeSettings
    settings: ChangeSettings

    def __init__(self, settings: ChangeSettings) -> None:
        super().__init__(settings)
        self.guides = settings.guides
        self._back = 0 if settings.guides else settings.frames_back
        self.offsets = (-self._back, 0) if self._back else (0,)
        self.min_frames = self._back + 1

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the position of each frame with that of the earlier frame; the first frames of a shot have no pair."""
        for position in range(self._back, num_frames):
            yield PairPositions((position - self._back, position) if self._back else (position,), position)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Concatenate two pictures, (H, W, 3) uint8 each, to (H, W, 6); the earlier frame or first clip comes first."""
        return np.concatenate(frames, axis=2)
