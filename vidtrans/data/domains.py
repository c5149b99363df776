"""The domains of an unpaired dataset: names, black bars of the clips, and warnings about the clips' content."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.costs import count as plural
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import base_name
from vidtrans.core.settings import Size
from vidtrans.data.dataset import Dataset
from vidtrans.data.sources import SHAPE_TOLERANCE, ClipSource
from vidtrans.flow.bars import NO_BARS, Bars, black_bars
from vidtrans.flow.matching import ENOUGH, Matcher, Outlines, outlines
from vidtrans.pairing.aligned import Unpaired
from vidtrans.pairing.base import Pairing
from vidtrans.session import Context

NUM_SAMPLES = 16  # Number of sampled frames per clip, for the search of black bars and of equal pictures.
THUMBNAIL_SIDE_PX = 32  # Side of a thumbnail, in pixels.
# Maximum mean difference between thumbnails of the same picture after re-encoding, in grey levels.
MAX_THUMBNAIL_DIFFERENCE = 3.0
# Ratio between the short sides of two domains from which there is a warning, as objects differ in size.
MAX_SIZE_RATIO = 1.5
MIN_CROP_SHARE = 0.6  # Share of a picture's area in a training crop below which there is a message.
MAX_COUNT_RATIO = 10  # Ratio between the numbers of frames of two domains from which there is a message.
OUTLINE_SIZE = (128, 128)  # (width, height) in pixels to which pictures are reduced for the comparison of edges.


@dataclass(frozen=True)
class Domain:
    """A domain of an unpaired dataset: its name, and its clips, folders of pictures, or pictures."""

    name: str
    videos: tuple[Path, ...]


@dataclass(frozen=True)
class DomainClip:
    """A clip of a domain (``domain`` is its number), with what samples of the frames show: bars, thumbnails, outlines.

    ``bars``: the black borders of the frames; ``cut``: the borders that the dataset crops. ``thumbnails``: frames
    spread over the clip, without bars, (n, 32, 32, 3) float32 in grey levels; ``outlines``: edges of the same frames.
    ``size``: (width, height) of the cropped frames, before they are resized.
    """

    path: Path
    domain: int
    bars: Bars
    cut: Bars
    thumbnails: np.ndarray
    outlines: tuple[Outlines, ...]
    size: tuple[int, int]


def find_domains(
    groups: Sequence[Sequence[Path]], expand: Callable[[Sequence[Path]], list[Path]]
) -> tuple[Domain, ...]:
    """Return the domain of each group of paths, the source domain first; ``expand`` resolves paths to clips.

    A domain is named after its first file or folder; a number is appended to repeated names.
    """
    domains: list[Domain] = []
    for paths in groups:
        videos = expand(paths)
        plain = base_name(paths[0] if paths[0].is_dir() or paths[0] in videos else videos[0])
        names = {domain.name for domain in domains}
        name = next(n for n in itertools.chain([plain], (f"{plain}-{k}" for k in itertools.count(2))) if n not in names)
        domains.append(Domain(name, tuple(videos)))
    return tuple(domains)


def check_domains(pairing: Pairing, domains: Sequence[Domain], target: Path | None) -> None:
    """Raise UsageError if the domains do not suit the pairing, or if there is no target domain."""
    if not isinstance(pairing, Unpaired):
        if domains:
            why = f"pairing '{pairing.name}' makes pairs, and domains have none"
            raise UsageError("--unpaired", why, "leave out --pairing, and give --preset unpaired or none")
        return
    if target is not None:
        raise UsageError("--target", "it is for pairs, and domains of --unpaired have none", "give only one of them")
    if not domains:
        why = "it needs a second domain"
        raise UsageError("pairing 'unpaired'", why, "use vidtrans make-dataset VIDEO --unpaired VIDEO")
    if len(pairing.settings.domains) != len(domains):
        why = f"it names {len(pairing.settings.domains)} domains, and there are {len(domains)}"
        raise UsageError("pairing.domains", why, "give a name for each, the source's first, or leave it out")


def check_domains_are_disjoint(domains: Sequence[Domain], digest: Callable[[Path], str]) -> None:
    """Raise UsageError if a clip is in two domains; ``digest`` returns the digest of a clip's content."""
    by_digest: dict[str, tuple[Domain, Path]] = {}
    for domain in domains:
        for video in domain.videos:
            first, path = by_digest.setdefault(digest(video), (domain, video))
            if first != domain:
                why = f"its content is that of {path}, which is in domain '{first.name}'"
                raise UsageError(str(video), why, "give each domain clips of its own")


def sample_clip(source: ClipSource, domain: int, crop: bool, context: Context) -> DomainClip:
    """Sample full-size frames of a clip for black bars, thumbnails and outlines; ``crop``: whether to crop the bars.

    If pictures differ in size, bars are not searched. Raises MediaError.
    """
    brightest: np.ndarray | None = None
    pictures = []
    for picture in source.samples(NUM_SAMPLES):
        context.stop.check()
        value = picture.max(2)
        has_same_shape = brightest is not None and brightest.shape == value.shape
        brightest = np.maximum(brightest, value) if has_same_shape else value  # type: ignore[arg-type]
        pictures.append(picture)
    assert brightest is not None, "a clip has frames"
    bars = black_bars(brightest) if source.index.same_size else NO_BARS
    cut = bars if crop else NO_BARS
    height, width = brightest.shape
    pictures = [bars.edge.crop(picture) for picture in pictures]
    thumbnails = np.stack([_thumbnail(picture) for picture in pictures])
    edges = tuple(outlines(picture, OUTLINE_SIZE) for picture in pictures)
    return DomainClip(source.path, domain, bars, cut, thumbnails, edges, cut.size(width, height))


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """Return the thumbnail of a picture, (32, 32, 3), for a comparison with others."""
    return cv2.resize(picture, (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)


def check_clips(clips: Sequence[DomainClip], names: Sequence[str], size: Size, context: Context) -> None:
    """Warn about bars, equal frames or edges in two domains, and sizes that differ; ``names``: the domains' names.

    ``size``: the requested size of stored pictures.
    """
    _note_bars(clips, context)
    for one, other in itertools.combinations(clips, 2):
        if one.domain == other.domain:
            continue
        if _have_equal_frames(one, other):
            why = "shows the same pictures as" if other.bars == one.bars else "shows, within its bars, what is in"
            text = f"{other.path.name} {why} {one.path.name}: from equal domains a network learns to copy its input"
            context.note(text, "warning")
        elif len(clips) == 2 and _have_equal_edges(one, other):
            command = f"vidtrans make-dataset {one.path} --target {other.path} --preset matched"
            text = f"{other.path.name} seems to show what {one.path.name} shows: if one of them is lines, pairs"
            context.note(f"{text} found by vidtrans (--preset matched) teach much more: {command}")
    _note_sizes(clips, names, size, context)


def _note_bars(clips: Sequence[DomainClip], context: Context) -> None:
    """Report each clip's black bars, with a warning if they are not cropped."""
    for clip in clips:
        if not any(clip.bars):
            continue
        if any(clip.cut):
            context.note(f"{clip.path.name}: black bars are left out, {clip.bars} (dataset.crop_bars=false keeps them)")
        else:
            text = f"{clip.path.name} has black bars, {clip.bars}, and networks learn bars first"
            context.note(f"{text}: leave out dataset.crop_bars=false", "warning")


def _have_equal_frames(one: DomainClip, other: DomainClip) -> bool:
    """Return whether most sampled frames of the clip with fewer samples also appear in the other clip."""
    few, many = sorted((one.thumbnails, other.thumbnails), key=len)
    nearest = [float(np.abs(many - picture).mean((1, 2, 3)).min()) for picture in few]
    return float(np.median(nearest)) < MAX_THUMBNAIL_DIFFERENCE


def _have_equal_edges(one: DomainClip, other: DomainClip) -> bool:
    """Return whether the edges of most sampled frames of ``other`` appear in ``one``, even in another style."""
    (width, height), (other_width, other_height) = one.size, other.size
    if abs(width * other_height / (height * other_width) - 1) > SHAPE_TOLERANCE:
        return False
    match = Matcher(one.outlines)
    return float(np.median([match(edges).share for edges in other.outlines])) >= ENOUGH


def _note_sizes(clips: Sequence[DomainClip], names: Sequence[str], size: Size, context: Context) -> None:
    """Warn if domains are stored at very different sizes or aspect ratios."""
    if size.exact:
        width, height = size.exact
        for clip in clips:
            if abs(clip.size[0] * height / (clip.size[1] * width) - 1) > SHAPE_TOLERANCE:
                text = f"--size {size} stretches {clip.path.name} ({clip.size[0]}x{clip.size[1]})"
                context.note(f"{text}: give one number, the short side", "warning")
        return
    stored = {name: [size.of(*c.size) for c in clips if c.domain == k] for k, name in enumerate(names)}
    sides = {name: min(map(min, sizes)) for name, sizes in stored.items()}
    small, large = (pick(sides, key=sides.__getitem__) for pick in (min, max))
    if sides[large] >= MAX_SIZE_RATIO * sides[small]:
        context.note(
            f"the short side of '{small}' is {sides[small]} pixels, which are never enlarged, and that of '{large}' "
            f"{sides[large]}, so that things have other sizes there: --size {sides[small]} stores both alike",
            "warning",
        )
        return
    widths, heights = zip(*(pair for sizes in stored.values() for pair in sizes), strict=True)
    width, height = min(widths), min(heights)
    for name, sizes in stored.items():
        if (share := max(width * height / (w * h) for w, h in sizes)) < MIN_CROP_SHARE:
            text = f"a training crop fits in every domain: of '{name}' it shows {share:.0%} of a picture at most"
            context.note(f"{text} ({width}x{height})")


def check_frames(dataset: Dataset, context: Context) -> None:
    """Warn if a domain has few training frames. Raises MediaError if a domain has none."""
    names = dataset.domains
    counts = [sum(p.domain == k for p in dataset.role("train")) for k in range(len(names))]
    held_out = {names[p.domain] for p in dataset.role("val")}
    for name, count in zip(names, counts, strict=True):
        if count == 0:
            why = f"domain '{name}' has no frame to learn from: all are blank, blurred, or look just like others"
            raise MediaError(name, why, "give a clip that shows more, or --set dataset.drop_duplicates=false")
        if count == 1:
            text = f"domain '{name}' has one picture: a network can only learn to paint that picture"
            context.note(f"{text}; give a clip or a folder of pictures", "warning")
        if count > 1 and held_out and name not in held_out:
            text = f"no frame of '{name}' is held out, as its shots are short, so the model is scored without it"
            context.note(f"{text}; to hold some out, add --set dataset.val_block_size=2 --set dataset.val_gap=1")
    least, most = (pick(range(len(names)), key=lambda k: counts[k]) for pick in (min, max))
    if counts[most] >= MAX_COUNT_RATIO * counts[least] > MAX_COUNT_RATIO:
        text = f"'{names[most]}' has {plural(counts[most], 'frame')} to learn from and '{names[least]}' {counts[least]}"
        context.note(f"{text}: each of these is seen {counts[most] // counts[least]} times as often")
