"""Regions of a picture with separate styles: their plans and masks, and the compositing of the styles."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np

from vidtrans.clips.masks import MaskOfClip, MatteReader
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.rendering.plan import RenderPlan
from vidtrans.video.images.picture import resize

VERSION = 1  # Version of the compositing of regions, for cache keys


@dataclass(frozen=True)
class RegionLayer:
    """A region of the picture: where ``mask`` is white, a style is visible.

    ``look``: the index of the style; None: the base render, which is also visible outside all regions.
    """

    mask: MaskOfClip
    look: int | None


@dataclass(frozen=True)
class RegionPlans:
    """The regions of a render with separate styles; where ``layers`` overlap, the later layer is visible.

    ``looks``: the plan of each style, for whole frames and without a mask, as in a separate render.
    """

    looks: tuple[RenderPlan, ...] = ()
    layers: tuple[RegionLayer, ...] = ()

    def check(self, rest: RenderPlan) -> None:
        """Raise UsageError if a style's pictures differ in size from those of the base render ``rest``."""
        for plan in self.looks:
            size, rest_size = ((one.picture.width, one.picture.height) for one in (plan, rest))
            if size != rest_size:
                why = f"it makes pictures of {size[0]}x{size[1]}, and the rest is {rest_size[0]}x{rest_size[1]}"
                raise UsageError(f"model '{plan.model.name}' in a region", why, "enlarge the whole result instead")

    def for_key(self, looks: Sequence[str], feather: str) -> Table:
        """Return the regions' part of a cache key. ``looks``: the cache key of each style's render.

        ``feather``: the key of the σ of mask edges.
        """
        if not self.layers:
            return {}
        layers = [[layer.mask.for_key(), layer.look] for layer in self.layers]
        return {"regions": {"version": VERSION, "looks": list(looks), "layers": layers, "feather": feather}}


NO_REGIONS = RegionPlans()  # Regions of a render that has only one style for the whole picture


def check_can_paint_region(model: LoadedModel) -> None:
    """Raise UsageError if a model cannot paint a region, because it needs a mask or guides."""
    first = model.parts[0].pairing
    if first.uses_mask or first.guides:
        why = "its input has a mask of its own" if first.uses_mask else "its input is a folder of guides"
        remedy = "render it alone, with its own --mask, and then the regions of the result"
        raise UsageError(f"model '{model.name}' in a region", why, remedy)


class RegionComposer:
    """A function that composites the pictures of the regions' styles, for frames in order."""

    def __init__(self, layers: Sequence[RegionLayer], mattes: Sequence[MatteReader]) -> None:
        self._layers, self._mattes = layers, mattes

    @classmethod
    @contextmanager
    def open_masks(cls, layers: Sequence[RegionLayer], plan: RenderPlan) -> Generator[Self, None, None]:
        """Open the mask readers of the layers at the size of the result, and close them when the block ends."""
        size, feather = (plan.picture.width, plan.picture.height), plan.feather
        with ExitStack() as stack:
            mattes = [stack.enter_context(closing(x.mask.mattes(size, plan.threads, feather))) for x in layers]
            yield cls(layers, mattes)

    def read(self, frame: int) -> list[np.ndarray]:
        """Return the matte of each layer in a frame, (H, W) uint8."""
        return [matte(frame) for matte in self._mattes]

    def __call__(self, rest: np.ndarray, looks: Sequence[np.ndarray], mattes: Sequence[np.ndarray]) -> np.ndarray:
        """Composite the styles of a frame over the base picture.

        Each layer covers only the share that layers above it leave uncovered. So the soft edges of mattes that share a
        border sum to one, and the base picture does not shine through between them (Porter and Duff, "Compositing
        Digital Images", SIGGRAPH 1984: their operator "over", with disjoint instead of uncorrelated coverages).

        Args:
            rest: the base picture outside all regions, (H, W, 3) or with alpha (H, W, 4), uint8 or uint16.
            looks: the picture of each style, of the same dtype; resized to the mattes' size where it differs.
            mattes: the matte of each layer, (H, W) uint8.

        Returns:
            A picture like ``rest``, at the mattes' size, with the alpha of ``rest``.
        """
        height, width = mattes[0].shape
        rest, uncovered = resize(rest, width, height), np.ones((height, width), np.float32)
        shares: dict[int, np.ndarray] = {}
        for layer, matte in zip(reversed(self._layers), reversed(mattes), strict=True):
            share = np.minimum(matte.astype(np.float32) / 255, uncovered)
            uncovered -= share
            if layer.look is not None:
                shares[layer.look] = shares[layer.look] + share if layer.look in shares else share
        shares = {look: share for look, share in shares.items() if share.any()}
        if not shares:
            return rest
        rest_share = np.ones_like(uncovered) - sum(shares.values())
        colours = np.maximum(rest_share, 0)[..., None] * rest[..., :3].astype(np.float32)
        for look, share in shares.items():
            colours += share[..., None] * resize(looks[look], width, height)[..., :3]
        full = np.iinfo(rest.dtype).max
        picture = np.clip(np.rint(colours), 0, full).astype(rest.dtype)
        return picture if rest.shape[2] == 3 else np.dstack([picture, rest[..., 3]])
