"""Label maps → picture: grey levels or flat colours of the frame name classes, each of which has a channel.

As in pix2pixHD and SPADE: planes of 0 and 1, and optionally one more with the borders of touching objects
(Wang et al., CVPR 2018; Park et al., CVPR 2019). Theirs are borders of objects; here they are borders of labels, as a
label map does not identify the object of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.class_colours import (
    AREA,
    UNLIKE,
    ClassColours,
    colours,
    distinct_colours,
    nearest_colours,
    parts_of,
    without_mixtures,
)
from vidtrans.pairing.palettes import class_names

MAX_CLASSES = 511  # with the borders, as many channels as a model file may have
GREYS = 256
GREY_SPREAD = 12  # levels between channels of a drawing that has no colours


@dataclass(frozen=True)
class LabelsSettings:
    """The meaning of a label map's values."""

    classes: int = option(35, "how many classes there are; 35 are those of Cityscapes", bounds=(1, MAX_CLASSES))
    palette: str = option(
        "",
        "the classes' colours in order, as in '#804080 #f423e8', or a file of them; empty: the palette of indexed "
        "pictures, and of others the grey levels are the classes' numbers",
    )
    ignore: str = option(
        "", "labels that mean 'unlabelled', numbers or colours, as in '255 #e0e0c0'; they are of no class"
    )
    boundaries: bool = option(False, "add a channel with the borders between labels, like pix2pixHD's instance borders")
    rest_is_last: bool = option(
        False, "grey levels beyond the classes count as the last class ('do not care'); otherwise as none"
    )
    clean: bool = option(
        True, "give pixels that scaling mixed of two labels a neighbour's label; false for maps at their own size"
    )

    def __post_init__(self) -> None:
        count, _ = len(colours(self.palette)), (self.ignored_colours, self.ignored_numbers)  # raises
        if count > self.classes:
            raise ValueError(f"pairing.palette has {count} colours, for {self.classes} pairing.classes")
        if not count and self.classes > GREYS:
            raise ValueError(f"pairing.classes is {self.classes}: grey levels name {GREYS}; give a pairing.palette")

    @property
    def ignored_numbers(self) -> tuple[int, ...]:
        """The numbers of labels in ``ignore``."""
        return tuple(int(part) for part in parts_of(self.ignore) if part.isdecimal())

    @property
    def ignored_colours(self) -> np.ndarray:
        """The colours in ``ignore``, (N, 3) uint8. Raises ValueError for an invalid one."""
        return colours(" ".join(part for part in parts_of(self.ignore) if not part.isdecimal()), "ignore")


class Labels(Pairing):
    """A channel for each class, 255 where the class is, and optionally a channel for borders."""

    name = "labels"
    version = 1
    needs_target = True
    drawing_kind = "flats"
    operators_refusal = "label maps are cleaned of mixed pixels first"
    Settings = LabelsSettings
    settings: LabelsSettings

    def __init__(self, settings: LabelsSettings) -> None:
        super().__init__(settings)
        self.in_channels = settings.classes + settings.boundaries

    @property
    def swatches(self) -> list[tuple[str, str]]:
        """Return the classes' colours and their names."""
        names = class_names(self.settings.palette, self.settings.classes)
        return [(f"#{colour.tobytes().hex()}", name) for colour, name in zip(self._shown, names, strict=True)]

    @property
    def _shown(self) -> np.ndarray:
        """The palette's colours, and for classes without one, generated ones: (classes, 3) uint8."""
        shown, table = distinct_colours(self.settings.classes), colours(self.settings.palette)
        shown[: len(table)] = table
        return shown

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return planes of 0 or 255, (H, W, in_channels) uint8, for ((H, W, 3) uint8,): the classes, then borders."""
        labels = self._labels(frames[0])
        rows = np.eye(self.settings.classes + 1, self.in_channels, dtype=np.uint8) * 255
        rows[-1] = 0  # of no class, −1
        planes = rows[labels]
        if self.settings.boundaries:
            planes[..., -1] = _borders(labels)
        return planes

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the input for a drawn label map, (H, W, 3) uint8: as for a frame, or painted in ``swatches``.

        Grey levels that are numbers of classes cannot be told apart by a person, so that drawings without a palette are
        in the colours that stand for the classes.
        """
        if len(colours(self.settings.palette)) or not np.ptp(picture, axis=2).max() > GREY_SPREAD:
            return self.input([picture])
        labels = ClassColours(" ".join(colour for colour, _ in self.swatches)).labels(picture, clean=True)
        none = labels < 0
        labels[none] = GREYS - 1 if self.settings.classes < GREYS else 0
        return self.input([np.repeat(labels.astype(np.uint8)[..., None], 3, axis=2)])

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return a picture with each class in its colour, (H, W, 3) uint8."""
        planes = net_input[..., : self.settings.classes]
        rgb = self._shown[planes.argmax(axis=2)]
        rgb[planes.max(axis=2) == 0] = 0
        return rgb

    def _labels(self, frame: np.ndarray) -> np.ndarray:
        """Return the class of each pixel, (H, W) int16, −1 for none, of (H, W, 3) uint8."""
        settings, table = self.settings, colours(self.settings.palette)
        if len(table):
            labels, unknown = self._nearest_labels(frame)
            labels[unknown] = len(table)
        else:
            labels = frame[..., 0].astype(np.int16)
        rest = labels >= (len(table) or settings.classes)
        if settings.ignored_numbers:
            rest |= np.isin(labels, settings.ignored_numbers)
        labels[rest] = settings.classes - 1 if settings.rest_is_last else -1
        return without_mixtures(labels, frame if len(table) else frame[..., :1]) if settings.clean else labels

    def _nearest_labels(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the index of each pixel's nearest colour, (H, W) int16, and a mask (H, W) bool where none is near.

        Indices count the palette's colours, then the ignored ones.
        """
        table = np.concatenate([colours(self.settings.palette), self.settings.ignored_colours])
        labels, distance = nearest_colours(frame, table)
        far = (distance > UNLIKE**2).astype(np.uint8)
        opened = cv2.morphologyEx(far, cv2.MORPH_OPEN, np.ones((AREA, AREA), np.uint8)) if far.any() else far
        return labels, opened > 0

    def unknown_labels(self, frame: np.ndarray) -> dict[str, int]:
        """Return the number of pixels of a label map, (H, W, 3) uint8, with a label of no class, by label."""
        settings = self.settings
        if settings.palette:
            found, times = np.unique(frame[self._nearest_labels(frame)[1]], axis=0, return_counts=True)
            return {f"#{bytes(colour).hex()}": n for colour, n in zip(found.tolist(), times.tolist(), strict=True)}
        counts = np.bincount(frame[..., 0].ravel(), minlength=GREYS)
        wanted = (*range(settings.classes), *settings.ignored_numbers)
        return {str(n): int(count) for n, count in enumerate(counts) if count and n not in wanted}


def _borders(labels: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8 with 255 on both sides of each border between labels (H, W)."""
    borders = np.zeros(labels.shape, np.uint8)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    borders[:, 1:][across] = borders[:, :-1][across] = 255
    borders[1:][down] = borders[:-1][down] = 255
    return borders
