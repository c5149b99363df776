"""Progressive resizing: a run begins with downscaled pictures, which are cheap, and ends at full size.

The size at a step depends only on its number, so that a resumed run sees the same pictures. Unlike Karras et al. (ICLR
2018), the networks stay as they are: fully convolutional ones take any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vidtrans.core.errors import UsageError

Size = tuple[int, int]


@dataclass(frozen=True)
class PictureScale:
    """The size of a step's pictures: scaled by ``scale``, then cropped to ``crop``, (width, height) in pixels."""

    crop: Size
    scale: float = 1.0


@dataclass(frozen=True)
class PictureGrowth:
    """The scales of a run of ``total`` steps, the smallest first; the last is full size.

    ``share``: the share of the run before full size, divided evenly among the smaller scales; ``since``: the step at
    which ``total`` was last changed, and the share of the run that was done then.
    """

    scales: tuple[PictureScale, ...]
    share: float = 0.0
    total: int = 1
    since: tuple[int, float] = (0, 0.0)

    @property
    def _starts(self) -> list[int]:
        """Return the step at which each scale begins."""
        smaller, (first, done) = len(self.scales) - 1, self.since
        whole = (self.total - first) / (1 - done)  # steps of a run at the pace since then
        starts = [whole * self.share * k / smaller - whole * done for k in range(smaller + 1)] if smaller else [0.0]
        return [first + round(start) if k else 0 for k, start in enumerate(starts)]

    def at(self, step: int) -> PictureScale:
        """Return the scale of ``step``, counted from 0."""
        return self.scales[sum(start <= step for start in self._starts) - 1]

    def of_run(self, total: int, since: tuple[int, float] = (0, 0.0)) -> PictureGrowth:
        """Return the growth of a run of ``total`` steps; for ``since`` see the class."""
        return replace(self, total=total, since=since)

    def parts(self) -> list[tuple[float, float, PictureGrowth]]:
        """Return (start, end, growth) for each scale: its part of the run, as shares, and a growth of it alone."""
        smaller = len(self.scales) - 1
        ends = [self.share * k / smaller for k in range(smaller + 1)] if smaller else [0.0]
        spans = zip(ends, [*ends[1:], 1.0], self.scales, strict=True)
        return [(start, end, PictureGrowth((scale,))) for start, end, scale in spans]


def plan_growth(crop: Size, first: int, share: float, total: int, *, multiple: int, smallest: int) -> PictureGrowth:
    """Return a run's growth from crops of about ``first`` pixels, doubled until they reach ``crop``.

    Args:
        crop: (width, height) at full size.
        first: The short side at first; 0 for full size from the start.
        share: The share of the steps before full size.
        total: Steps of the run.
        multiple: A divisor of all sides.
        smallest: The least side that all networks take.

    Raises:
        UsageError: No such crop is smaller than the full one.
    """
    full = PictureScale(crop)
    if not first or not share:
        return PictureGrowth((full,))
    scales: list[PictureScale] = []
    side, short = first, min(crop)
    while side < short:
        width, height = (_fitting(n * side / short, n, multiple, smallest) for n in crop)
        scale = max(width / crop[0], height / crop[1])  # the crop fits into the scaled picture
        if scale < 1 and PictureScale((width, height), scale) not in scales:
            scales.append(PictureScale((width, height), scale))
        side *= 2
    if not scales:
        why = f"the crops of this run are {crop[0]}x{crop[1]}, and no smaller ones suit its networks"
        remedy = "leave it out, choose a smaller one, or raise make-dataset --size or training.crop_size"
        raise UsageError(f"training.grow_from={first}", why, remedy)
    return PictureGrowth((*scales, full), share, total)


def _fitting(side: float, full: int, multiple: int, smallest: int) -> int:
    """Return a side near ``side``, in pixels, that all networks accept, at most ``full``."""
    least = -(-smallest // multiple) * multiple
    return min(full, max(least, round(side / multiple) * multiple, multiple))
