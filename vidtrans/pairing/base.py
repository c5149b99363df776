"""What every pairing offers to the dataset builder, the loader and the renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from vidtrans.registry import Registry
from vidtrans.settings import Table, from_table, record_table

DrawingKind = Literal["", "lines", "flats"]


@dataclass(frozen=True)
class PairPositions:
    """A pair within a shot: the positions of the frames that make the input, and that of the target.

    ``phase``: where on the clock it lies, in [0, 1), for pairings that have one.
    """

    inputs: tuple[int, ...]
    target: int
    phase: float | None = None


class Pairing(Protocol):
    """A way of making pairs. Instances are made from their ``Settings`` and keep no state.

    ``version`` is raised by hand when the pictures that it makes change.
    ``needs_target``: the target comes from a second clip or folder, not from the frame itself.
    ``min_frames``: the shortest shot that gives a pair.
    ``at_source_size``: it is about single pixels, so it is rendered at the source's size unless told otherwise.
    ``deep``: it takes frames of 16 bits too, and shows them with all of these (else they are brought to 8 first).
    ``uses_mask``: what ``shown`` makes depends on the mask. ``draws``: what kind of drawing ``drawn``
    takes, 'lines' on paper or 'flats'; '' for none.
    ``enlarges``: how many times larger than its source a render is. ``guides``: the names of the pictures that stand
    for a frame, where a source is a folder of guides; a frame is then one picture of each. ``main_setting``: the
    setting to try first when a render does not look right; '' for none. ``stride``: how many of ``steps`` further on
    lies the pair that follows one in time. ``offsets``: the frames that make an input, relative to the one that is
    rendered, oldest first: (0,) is that frame alone. ``clocked``: the network sees a clock beside its pictures, see
    ``clock``.

    All pictures are uint8 (or uint16, see ``deep`` and ``finish``), the same size within a call; frames and outputs are
    (H, W, 3), what a network sees is (H, W, in_channels), masks are (H, W).
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs_target: ClassVar[bool]
    uses_mask: ClassVar[bool]
    at_source_size: ClassVar[bool]
    deep: ClassVar[bool]
    drawing_kind: ClassVar[DrawingKind]
    main_setting: ClassVar[str]
    finishes: ClassVar[bool]
    Settings: ClassVar[type]
    settings: Any

    def __init__(self, settings: Any) -> None: ...

    @property
    def in_channels(self) -> int:
        """Channels of what the network sees."""
        ...

    @property
    def min_frames(self) -> int: ...

    @property
    def upscale_factor(self) -> int: ...

    @property
    def guides(self) -> tuple[str, ...]: ...

    @property
    def offsets(self) -> tuple[int, ...]: ...

    @property
    def stride(self) -> int: ...

    @property
    def has_clock(self) -> bool: ...

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """The pairs of a shot of ``num_frames`` frames."""
        ...

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Raw frames, oldest first → what the network sees. The same every time."""
        ...

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """What the network sees in training, where that is not the raw frame's input: noise and holes are drawn."""
        ...

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """What the network sees of frame ``number`` of a clip when it is rendered, under the render's mask."""
        ...

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """A drawing → what the network sees, without looking for what is drawn already."""
        ...

    def finish(self, frame: np.ndarray, output: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """The network's output with what is known better from the frame put back; both uint8, or both uint16."""
        ...

    def preview(self, shown: np.ndarray) -> np.ndarray:
        """What the network sees, as a picture for people."""
        ...

    def agreement(self, shown: np.ndarray, output: np.ndarray) -> float | None:
        """How much of what the network saw can be read back from its output, 0 to 1; None where that says nothing."""
        ...


class BasePairing:
    """The answers of a pairing that has nothing special to say."""

    needs_target: ClassVar[bool] = False
    uses_mask: ClassVar[bool] = False
    at_source_size: ClassVar[bool] = False
    deep: ClassVar[bool] = False
    drawing_kind: ClassVar[DrawingKind] = ""
    main_setting: ClassVar[str] = ""
    finishes: ClassVar[bool] = False
    upscale_factor = 1
    guides: tuple[str, ...] = ()
    offsets: tuple[int, ...] = (0,)

    @property
    def stride(self) -> int:
        return 1

    @property
    def has_clock(self) -> bool:
        return False

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """(H, W, 3) uint8 frames, oldest first → (H, W, in_channels) uint8."""
        raise NotImplementedError

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        del rng
        return self.input(frames)

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        del number, mask
        return self.input(frames)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def finish(self, frame: np.ndarray, output: np.ndarray, shown: np.ndarray) -> np.ndarray:
        del frame, shown
        return output

    def preview(self, shown: np.ndarray) -> np.ndarray:
        """Grey from its first channel, or its first three, or, of several frames, the latest."""
        channels = shown.shape[2]
        if channels < 3:
            return np.repeat(shown[..., :1], 3, axis=2)
        return shown[..., -3:] if channels % 3 == 0 else shown[..., :3]

    def agreement(self, shown: np.ndarray, output: np.ndarray) -> float | None:
        del shown, output
        return None


class FramePairing(BasePairing):
    """Shared by pairings in which a frame's input is made from that frame alone."""

    min_frames = 1

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        for position in range(num_frames):
            yield PairPositions((position,), position)


def input_frames(pairing: Pairing, position: int, first: int) -> tuple[int, ...]:
    """Return the frames that make the input of frame ``position`` of a shot that starts at ``first``, oldest first.

    Before the shot's start its first frame is repeated.
    """
    return tuple(max(first, position + offset) for offset in pairing.offsets)


def make_pairing(registry: Registry[Any], name: str, table: Table) -> Pairing:
    """The pairing ``name`` with the settings of ``table``. Raises UsageError on unknown names and keys."""
    cls = registry.load(name)
    made: Pairing = cls(from_table(cls.Settings, table, "pairing"))
    return made


def pairing_record(pairing: Pairing) -> Table:
    """What datasets, model files and cache keys say of a pairing: name, version and settings."""
    return {"name": pairing.name, "version": pairing.version, "settings": record_table(pairing.settings)}
