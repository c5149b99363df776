"""What every pairing offers to the dataset builder, the loader and the renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from vidtrans.registry import Registry
from vidtrans.settings import Table, from_table, to_table


@dataclass(frozen=True)
class Step:
    """A pair within a shot: the positions of the frames that make the input, and that of the target."""

    inputs: tuple[int, ...]
    target: int


class Pairing(Protocol):
    """A way of making pairs. Instances are made from their ``Settings`` and keep no state.

    ``version`` is raised by hand when the pictures that ``input`` makes change.
    ``needs_target``: the target comes from a second clip or folder, not from the frame itself.
    ``min_frames``: the shortest shot that gives a pair.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs_target: ClassVar[bool]
    Settings: ClassVar[type]
    settings: Any

    def __init__(self, settings: Any) -> None: ...

    @property
    def in_channels(self) -> int:
        """Channels of what ``input`` returns."""
        ...

    @property
    def min_frames(self) -> int: ...

    def steps(self, num_frames: int) -> Iterator[Step]:
        """The pairs of a shot of ``num_frames`` frames."""
        ...

    def history(self, position: int, first: int) -> tuple[int, ...]:
        """The frames that make the input when frame ``position`` is rendered; the shot starts at ``first``."""
        ...

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Frames (H, W, 3) uint8 → the network's input, (H, W, in_channels) uint8, 0 to 255."""
        ...


class FramePairing:
    """Shared by pairings in which a frame's input is made from that frame alone."""

    needs_target: ClassVar[bool] = False
    min_frames = 1

    def steps(self, num_frames: int) -> Iterator[Step]:
        for position in range(num_frames):
            yield Step((position,), position)

    def history(self, position: int, first: int) -> tuple[int, ...]:
        del first
        return (position,)


def make_pairing(registry: Registry, name: str, table: Table) -> Pairing:
    """The pairing ``name`` with the settings of ``table``. Raises UsageError on unknown names and keys."""
    cls = registry.load(name)
    made: Pairing = cls(from_table(cls.Settings, table, "pairing"))
    return made


def pairing_record(pairing: Pairing) -> Table:
    """What datasets, model files and cache keys say of a pairing: name, version and every setting."""
    return {"name": pairing.name, "version": pairing.version, "settings": to_table(pairing.settings)}
