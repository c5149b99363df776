"""A dataset as a sequence of pairs of pictures, for programs that look at it or train a network of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.data import dataset as datasets
from vidtrans.evaluation.contact_sheet import check_has_pictures, dataset_sheet
from vidtrans.training.validation import pair_input
from vidtrans.video.images.picture import read_picture


@dataclass(frozen=True, eq=False)
class DatasetPair:
    """A pair of a dataset, or a frame of an unpaired one, whose input and target are equal.

    Attributes:
        input: The network's input, (H, W, C) uint8, without augmentation; C is 3 for most pairings.
        target: The picture that the network learns to make, (H, W, 3) uint8 RGB.
        name: The path of the target in the dataset's folder, with forward slashes.
        held_out: Whether the pair is for scores, not for training.
        domain: The name of the frame's domain in an unpaired dataset; '' in a paired one.
    """

    input: np.ndarray
    target: np.ndarray
    name: str
    held_out: bool
    domain: str = ""

    def __repr__(self) -> str:
        return f"DatasetPair({self.name!r}, input={self.input.shape}, target={self.target.shape})"


class OpenedDataset:
    """The pairs of a dataset whose pictures have not been deleted; they are read on demand, and equal in every pass."""

    def __init__(self, dataset: datasets.Dataset) -> None:
        """Create a dataset; users call ``open_dataset``."""
        self._dataset, self._pairing = dataset, dataset.pairing

    @property
    def path(self) -> Path:
        """Return the path of the folder."""
        return self._dataset.folder

    @property
    def pairing(self) -> str:
        """Return the name of the pairing ('edges', 'aligned' …), which makes the input of a frame."""
        return self._pairing.name

    def __len__(self) -> int:
        return len(self._dataset.pairs)

    def __getitem__(self, number: int) -> DatasetPair:
        """Return a pair, which is read from its files. Raises IndexError, MediaError."""
        pair, domains = self._dataset.pairs[number], self._dataset.domains
        return DatasetPair(
            pair_input(self._pairing, pair),
            read_picture(pair.target),
            pair.target.relative_to(self.path).as_posix(),
            pair.role == "val",
            domains[pair.domain] if domains else "",
        )

    def __iter__(self) -> Iterator[DatasetPair]:
        return (self[number] for number in range(len(self)))

    def sheet(self, count: int | None = None) -> np.ndarray:
        """Return a contact sheet of ``count`` pairs, input beside target, as a picture (H, W, 3) uint8.

        ``count``: by default 24; 0: all. Raises MediaError if the dataset has no pairs.
        """
        check_has_pictures(self._dataset)
        return dataset_sheet(self._dataset, count).draw()

    def __repr__(self) -> str:
        return f"OpenedDataset({self.path.name!r}, {len(self)} pairs, {self.pairing!r})"


def open_dataset(path: str | Path) -> OpenedDataset:
    """Open a dataset, a folder that ``make_dataset`` made or imported.

    Raises:
        MediaError: The folder is no dataset, or its index is damaged.
        PluginError: Its pairing is of a plug-in that is not installed.
    """
    return OpenedDataset(datasets.open_dataset(Path(path)))
