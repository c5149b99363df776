"""Regions of a picture that have looks of their own: their plans, their masks, and how the looks are put together."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np

from vidtrans.clips.masks import Mask, MatteReader
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.rendering.plan import RenderPlan
from vidtrans.video.images.picture import resize

VERSION = 1


@dataclass(frozen=True)
class RegionLayer:
    """A region: where ``mask`` is white, the look of this number is shown; None: the look of the rest."""

    mask: Mask
    look: int | None


@dataclass(frozen=True)
class RegionPlans:
    """The regions of a render, of which later layers lie over earlier ones.

    ``looks``: the plan of each look, of whole frames and without a mask: its outputs are those of a render of its own.
    """

    looks: tuple[RenderPlan, ...] = ()
    layers: tuple[RegionLayer, ...] = ()

    def check(self, rest: RenderPlan) -> None:
        """Raise UsageError if a look cannot have a part in a picture of the plan ``rest``."""
        for plan in self.looks:
            size, whole = ((one.picture.width, one.picture.height) for one in (plan, rest))
            if size != whole:
                why = f"it makes pictures of {size[0]}x{size[1]}, and the rest is {whole[0]}x{whole[1]}"
                raise UsageError(f"model '{plan.model.name}' in a region", why, "enlarge the whole result instead")

    def for_key(self, looks: Sequence[str], feather: str) -> Table:
        """Return the values that identify the regions. ``looks``: the cache key of the render of each look."""
        if not self.layers:
            return {}
        layers = [[layer.mask.for_key(), layer.look] for layer in self.layers]
        return {"regions": {"version": VERSION, "looks": list(looks), "layers": layers, "feather": feather}}


NO_REGIONS = RegionPlans()


def check_paints_region(model: LoadedModel) -> None:
    """Raise UsageError if a model cannot paint a region."""
    first = model.parts[0].pairing
    if first.uses_mask or first.guides:
        why = "its input has a mask of its own" if first.uses_mask else "its input is a folder of guides"
        remedy = "render it alone, with its own --mask, and then the regions of the result"
        raise UsageError(f"model '{model.name}' in a region", why, remedy)


class RegionComposer:
    """Puts the looks of regions together, for frames in order."""

    def __init__(self, layers: Sequence[RegionLayer], mattes: Sequence[MatteReader]) -> None:
        self._layers, self._mattes = layers, mattes

    @classmethod
    @contextmanager
    def opened(cls, layers: Sequence[RegionLayer], plan: RenderPlan) -> Generator[Self, None, None]:
        """Open the masks of layers at the size of a plan's result."""
        size, feather = (plan.picture.width, plan.picture.height), plan.feather
        with ExitStack() as stack:
            mattes = [stack.enter_context(closing(x.mask.mattes(size, plan.threads, feather))) for x in layers]
            yield cls(layers, mattes)

    def read(self, frame: int) -> list[np.ndarray]:
        """Return the matte of each layer in a frame, (H, W) uint8."""
        return [matte(frame) for matte in self._mattes]

    def __call__(self, rest: np.ndarray, looks: Sequence[np.ndarray], mattes: Sequence[np.ndarray]) -> np.ndarray:
        """Return the picture of a frame.

        What a layer leaves free is shared by those below it, so that the soft edges of mattes that share a border sum
        to one and nothing of the rest shines through between them (Porter and Duff, "Compositing Digital Images",
        SIGGRAPH 1984: their operator "over", with coverages that are disjoint instead of uncorrelated).

        Args:
            rest: what is in no region, (H, W, 3) or with alpha (H, W, 4), uint8 or uint16.
            looks: the picture of each look, of the same dtype; resized to the mattes' size where it differs.
            mattes: of each layer, (H, W) uint8.

        Returns:
            A picture like ``rest``, at the mattes' size; the alpha of ``rest``.
        """
        height, width = mattes[0].shape
        rest, left = resize(rest, width, height), np.ones((height, width), np.float32)
        shares: dict[int, np.ndarray] = {}
        for layer, matte in zip(reversed(self._layers), reversed(mattes), strict=True):
            share = np.minimum(matte.astype(np.float32) / 255, left)
            left -= share
            if layer.look is not None:
                shares[layer.look] = shares[layer.look] + share if layer.look in shares else share
        shares = {look: share for look, share in shares.items() if share.any()}
        if not shares:
            return rest
        under = np.ones_like(left) - sum(shares.values())
        colours = np.maximum(under, 0)[..., None] * rest[..., :3].astype(np.float32)
        for look, share in shares.items():
            colours += share[..., None] * resize(looks[look], width, height)[..., :3]
        full = np.iinfo(rest.dtype).max
        picture = np.clip(np.rint(colours), 0, full).astype(rest.dtype)
        return picture if rest.shape[2] == 3 else np.dstack([picture, rest[..., 3]])
