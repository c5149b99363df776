"""The interface of engines, and the engine of the identity model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vidtrans.flow.history import no_history
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.images.picture import resize


class Engine(Protocol):
    """A map from inputs (N, H, W, C) uint8 or uint16 to pictures (N, H, W, 3), uint16 if ``deep``, of any H and W.

    ``batch``: the number of inputs that run at once; a picture never depends on the other pictures of its batch.
    ``device_kind``: "cpu", "cuda" or "mps". ``identity``: the engine properties that affect the results, for cache keys
    only.
    """

    batch: int
    device_kind: str
    identity: dict[str, str]

    @property
    def precision(self) -> str:
        """Return the precision of the computation, such as "bf16"; "" if nothing is computed."""

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return the properties that affect the results at a picture size in pixels, for cache keys.

        They are those in ``identity``, and the operators that need fp32 at this size.
        """
        ...

    def batch_for(self, height: int, width: int) -> int:
        """Return the number of inputs of a size that run at once: ``batch``, or fewer for a large size."""
        ...

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray: ...


class IdentityEngine:
    """The engine of ``--model identity``: it returns its input, for tests of reading, writing and timing."""

    batch = 1
    device_kind = "cpu"
    precision = ""
    identity = {"engine": "identity"}  # noqa: RUF012

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return the engine properties that affect the results; they do not depend on the picture size."""
        return self.identity

    def batch_for(self, height: int, width: int) -> int:
        """Return the batch size 1, which does not depend on the picture size."""
        return self.batch

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        """Return the inputs as uint16 if ``deep``, else as uint8."""
        return to_uint16(inputs) if deep else to_uint8(inputs)


def wrong_products_warning(wrong: Sequence[str], precision: str) -> str:
    """Return the warning that the operators ``wrong`` give wrong results and therefore run in a higher precision."""
    what = "an operator" if len(wrong) == 1 else f"{len(wrong)} operators"
    return (
        f"this machine computes {what} wrongly in {precision} at this size: "
        f"computed in {'fp64' if precision == 'fp32' else 'fp32'} instead "
        "(run 'vidtrans doctor --self-test' for details)"
    )


def append_plate(inputs: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """Return inputs (N, H, W, C) uint8 or uint16 with a background plate, (h, w, 3) uint8, as three more channels."""
    picture = resize(plate, inputs.shape[2], inputs.shape[1])
    if inputs.dtype == np.uint16:
        picture = to_uint16(picture)
    return np.concatenate([inputs, np.broadcast_to(picture, (len(inputs), *picture.shape))], axis=3)


def append_history(inputs: np.ndarray, in_channels: int) -> np.ndarray:
    """Append an empty history (4 channels, no previous output) to inputs (N, H, W, in_channels) uint8 or uint16.

    Inputs with more than ``in_channels`` channels already have a history and stay unchanged.
    """
    if inputs.shape[3] > in_channels:
        return inputs
    history = no_history(*inputs.shape[1:3])
    if inputs.dtype == np.uint16:
        history = to_uint16(history)
    return np.concatenate([inputs, np.broadcast_to(history, (len(inputs), *history.shape))], axis=3)
