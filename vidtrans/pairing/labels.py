"""The pairing "label map → picture": the map's grey levels or colours are classes, one input channel for each.

As in pix2pixHD and SPADE, there are planes of 0 and 1, and optionally a plane of borders (Wang et al., CVPR 2018; Park
et al., CVPR 2019). Theirs are borders of objects; here they are borders of labels, because a label map does not
identify the object of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.class_colours import (
    MAX_COLOUR_DISTANCE,
    MIN_AREA_SIDE,
    ClassColours,
    colours,
    distinct_colours,
    nearest_colours,
    parts_of,
    replace_mixed_pixels,
)
from vidtrans.pairing.palettes import class_names

MAX_CLASSES = 511  # Largest number of classes; with the border channel, a model file may have 512 input channels
NUM_GREY_LEVELS = 256  # Number of grey levels that may be class numbers
GREY_SPREAD = 12  # Largest difference, in levels, between the RGB channels of a drawing that counts as grey


@dataclass(frozen=True)
class LabelsSettings:
    """Settings of ``Labels``: the number of classes, their colours or grey levels, and values of unlabelled pixels."""

    classes: int = option(35, "number of classes; Cityscapes has 35", bounds=(1, MAX_CLASSES))
    palette: str = option(
        "",
        "Colours of the classes in order, as in '#804080 #f423e8', or a file of colours. Empty: the palette "
        "of indexed pictures; in other pictures, grey levels are class numbers.",
    )
    ignore: str = option("", "labels that mean 'unlabelled' and have no class: numbers or colours, as in '255 #e0e0c0'")
    boundaries: bool = option(False, "add a channel with the borders between labels, like pix2pixHD's instance borders")
    rest_is_last: bool = option(
        False, "count grey levels above the classes as the last class ('do not care'); false: as no class"
    )
    clean: bool = option(
        True, "replace labels that scaling mixed by the label of a neighbour; false for maps at their own size"
    )

    def __post_init__(self) -> None:
        count, _ = len(colours(self.palette)), (self.ignored_colours, self.ignored_numbers)  # Raises if invalid
        if count > self.classes:
            raise ValueError(f"pairing.palette has {count} colours, for {self.classes} pairing.classes")
        if not count and self.classes > NUM_GREY_LEVELS:
            raise ValueError(
                f"pairing.classes is {self.classes}: grey levels name {NUM_GREY_LEVELS}; give a pairing.palette"
            )

    @property
    def ignored_numbers(self) -> tuple[int, ...]:
        """Return the class numbers in ``ignore``."""
        return tuple(int(part) for part in parts_of(self.ignore) if part.isdecimal())

    @property
    def ignored_colours(self) -> np.ndarray:
        """Return the colours in ``ignore``, (N, 3) uint8. Raises ValueError for an invalid colour."""
        return colours(" ".join(part for part in parts_of(self.ignore) if not part.isdecimal()), "ignore")


class Labels(Pairing):
    """A pairing of a label map, with one channel for each class and optionally one for borders, with a picture."""

    name = "labels"
    needs_target = True
    drawing_kind = "flats"
    operators_refusal = "vidtrans first removes mixed pixels from label maps"
    Settings = LabelsSettings
    settings: LabelsSettings

    def __init__(self, settings: LabelsSettings) -> None:
        super().__init__(settings)
        self.in_channels = settings.classes + settings.boundaries

    @property
    def swatches(self) -> list[tuple[str, str]]:
        """Return the colour of each class, "#rrggbb", with the name of the class."""
        names = class_names(self.settings.palette, self.settings.classes)
        return [(f"#{colour.tobytes().hex()}", name) for colour, name in zip(self._class_colours, names, strict=True)]

    @property
    def _class_colours(self) -> np.ndarray:
        """Return the palette's colours, and generated colours for classes beyond the palette: (classes, 3) uint8."""
        shown, table = distinct_colours(self.settings.classes), colours(self.settings.palette)
        shown[: len(table)] = table
        return shown

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Convert a label map, (H, W, 3) uint8, to planes of 0 or 255, (H, W, in_channels): classes, then borders."""
        labels = self._labels(frames[0])
        rows = np.eye(self.settings.classes + 1, self.in_channels, dtype=np.uint8) * 255
        rows[-1] = 0  # The row of pixels without a class, −1
        planes = rows[labels]
        if self.settings.boundaries:
            planes[..., -1] = _borders(labels)
        return planes

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Compute the network's input from a drawn label map, (H, W, 3) uint8, in palette or ``swatches`` colours.

        People cannot distinguish grey levels that are class numbers. Therefore drawings without a palette use
        ``swatches``.
        """
        if len(colours(self.settings.palette)) or not np.ptp(picture, axis=2).max() > GREY_SPREAD:
            return self.input([picture])
        labels = ClassColours(" ".join(colour for colour, _ in self.swatches)).labels(picture, clean=True)
        none = labels < 0
        labels[none] = NUM_GREY_LEVELS - 1 if self.settings.classes < NUM_GREY_LEVELS else 0
        return self.input([np.repeat(labels.astype(np.uint8)[..., None], 3, axis=2)])

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the class of each pixel in the colours of the classes, (H, W, 3) uint8; black for no class."""
        planes = net_input[..., : self.settings.classes]
        rgb = self._class_colours[planes.argmax(axis=2)]
        rgb[planes.max(axis=2) == 0] = 0
        return rgb

    def _labels(self, frame: np.ndarray) -> np.ndarray:
        """Return the class of each pixel of a label map (H, W, 3) uint8, (H, W) int16; −1 for no class."""
        settings, table = self.settings, colours(self.settings.palette)
        if len(table):
            labels, unknown = self._nearest_labels(frame)
            labels[unknown] = len(table)
        else:
            labels = frame[..., 0].astype(np.int16)
        unlabelled = labels >= (len(table) or settings.classes)
        if settings.ignored_numbers:
            unlabelled |= np.isin(labels, settings.ignored_numbers)
        labels[unlabelled] = settings.classes - 1 if settings.rest_is_last else -1
        return replace_mixed_pixels(labels, frame if len(table) else frame[..., :1]) if settings.clean else labels

    def _nearest_labels(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the index of each pixel's nearest colour, (H, W) int16, and a mask, (H, W) bool, of unknown colours.

        Indices count the palette's colours, then the ignored colours.
        """
        table = np.concatenate([colours(self.settings.palette), self.settings.ignored_colours])
        labels, distance = nearest_colours(frame, table)
        far = (distance > MAX_COLOUR_DISTANCE**2).astype(np.uint8)
        opened = (
            cv2.morphologyEx(far, cv2.MORPH_OPEN, np.ones((MIN_AREA_SIDE, MIN_AREA_SIDE), np.uint8))
            if far.any()
            else far
        )
        return labels, opened > 0

    def unknown_labels(self, frame: np.ndarray) -> dict[str, int]:
        """Return the number of pixels of a label map, (H, W, 3) uint8, for each label that is no class."""
        settings = self.settings
        if settings.palette:
            found, counts = np.unique(frame[self._nearest_labels(frame)[1]], axis=0, return_counts=True)
            return {f"#{bytes(colour).hex()}": n for colour, n in zip(found.tolist(), counts.tolist(), strict=True)}
        counts = np.bincount(frame[..., 0].ravel(), minlength=NUM_GREY_LEVELS)
        valid_labels = (*range(settings.classes), *settings.ignored_numbers)
        return {str(n): int(count) for n, count in enumerate(counts) if count and n not in valid_labels}


def _borders(labels: np.ndarray) -> np.ndarray:
    """Return the borders between labels, (H, W) uint8, with 255 on both sides of each border."""
    borders = np.zeros(labels.shape, np.uint8)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    borders[:, 1:][across] = borders[:, :-1][across] = 255
    borders[1:][down] = borders[:-1][down] = 255
    return borders
