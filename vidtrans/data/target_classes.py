"""Classes of targets that are label maps: find the classes, check the maps, and report to the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.label_maps import LOSSLESS_SUFFIXES, MIN_REPORTED_SHARE, NUM_SAMPLE_FRAMES, find_palette
from vidtrans.clips.sampling import spread_numbers
from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Table
from vidtrans.data.sources import FolderSource
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.class_colours import colours, parts_of
from vidtrans.pairing.labels import LabelsSettings
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.segment import MAX_CLASSES, Change, Segment, SegmentSettings
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import pack_colours, read_indices, read_palette, read_picture
from vidtrans.video.io.picture_paths import find_guides, is_picture_source, picture_files
from vidtrans.video.io.pictures import open_reader

VOID = 255  # Index of pixels without a class, in many data sets.
MIN_CLASS_DISTANCE = 40  # Minimum RGB distance of two classes in compressed label maps, in levels of 255.
# Maximum difference between neighbouring pixels inside an area, in levels of 255; borders have more.
MAX_FLAT_DIFFERENCE = 8
MIN_FLAT_SHARE = 0.5  # Minimum share of the pixels that lie inside areas, in compressed label maps.
# Reason in the message about targets that are not label maps.
NOT_MAPS = "no classes are found in it: its colours are not those of label maps"
# Remedy in the message about targets without recognisable classes.
REMEDY = (
    "name the colours: --set pairing.palette='#rrggbb …', a FILE that lists them, or cityscapes, voc, camvid, facades"
)


@dataclass(frozen=True)
class TargetMaps:
    """The label maps of a dataset's targets: picture ``files``, side-by-side ``pairs``, or a ``video``."""

    name: str
    files: Sequence[Path] = ()
    pairs: Sequence[FolderSource] = ()
    video: Path | None = None

    @classmethod
    def of(cls, target: Path | None, pairs: Sequence[FolderSource]) -> TargetMaps:
        """Return the label maps at the path ``target`` (option ``--target``); without it, those of folders of pairs."""
        if target is None:
            files = [path for folder in pairs for path in folder.target_files]
            return cls(pairs[0].path.name, files, [folder for folder in pairs if not folder.target_files])
        if is_picture_source(target):
            return cls(target.name, picture_files(target))
        return cls(target.name, video=target)

    @property
    def is_lossless(self) -> bool:
        """Return whether all label maps are pictures in lossless formats."""
        files = [*self.files, *(one for folder in self.pairs for one, _ in folder.pairs)]
        return not self.video and all(path.suffix.lower() in LOSSLESS_SUFFIXES for path in files)

    def pictures(self, count: int) -> Iterator[np.ndarray]:
        """Yield about ``count`` label maps (0: all), spread over each source, at their stored size, (H, W, 3) uint8."""
        yield from (read_picture(self.files[n]) for n in spread_numbers(len(self.files), count))
        for folder in self.pairs:
            yield from folder.targets(spread_numbers(len(folder.pairs), count))
        if self.video:
            with open_reader(self.video, FrameFormat()) as reader, closing(reader.frames()) as frames:
                yield from (f.rgb for number, f in zip(range(16 * count), frames, strict=False) if number % 16 == 0)


def with_found_classes(pairing: Pairing, maps: TargetMaps) -> Pairing:
    """Return a pairing with the classes found in the targets; unchanged if it names classes or needs none.

    The classes are the indices of indexed pictures, else the colours, in the order of their values. Raises MediaError
    if there is only one class, or more than a model can have.
    """
    if not isinstance(pairing, Segment) or pairing.settings.palette:
        return pairing
    settings = pairing.settings
    ignored = _palette_codes(settings.ignored_colours)
    indexed = _indexed_palette(maps, settings) if maps.files and not maps.pairs else {}
    if indexed:  # For indexed pictures, numbers in ``ignore`` are indices, not grey levels.
        ignored = _palette_codes(" ".join(part for part in parts_of(settings.ignore) if not part.isdecimal()))
        ignored += _palette_codes(indexed["ignore"])
    codes = _palette_codes(indexed["palette"]) if indexed else _colours_in(maps, ignored)
    palette, ignore = ([f"#{code:06x}" for code in dict.fromkeys(part)] for part in (codes, ignored))
    palette = [colour for colour in palette if colour not in ignore]
    if len(palette) < 2:
        raise MediaError(
            maps.name,
            f"its label maps have {len(palette)} class",
            "give label maps of two or more, or name them all: " + REMEDY,
        )
    return make_pairing(pairing.name, vars(settings) | {"palette": " ".join(palette), "ignore": " ".join(ignore)})


def _palette_codes(palette: str) -> list[int]:
    """Return the colours of a palette as codes 0xrrggbb."""
    codes: list[int] = pack_colours(colours(palette)).tolist()
    return codes


def _indexed_palette(maps: TargetMaps, settings: SegmentSettings) -> Table:
    """Return the settings ``palette`` and ``ignore`` for indexed label maps, up to the highest used index, else {}.

    Index 255 without 254 means 'unlabelled', as in PASCAL VOC.
    """
    if any(read_palette(path) is None for path in maps.files):
        return {}
    used = sorted({int(index) for path in maps.files for index in np.unique(read_indices(path))})
    numbers = {*settings.ignored_numbers} | ({VOID} if used[-1] == VOID and VOID - 1 not in used else set())
    ignore = " ".join(map(str, sorted(numbers)))
    palette = find_palette(LabelsSettings(classes=MAX_CLASSES, ignore=ignore), maps.files)
    top = max((index for index in used if index not in numbers), default=0)
    if not palette:  # Pictures without a colour palette have grey levels.
        greys = " ".join(f"#{n * 0x010101:06x}" for n in range(top + 1))
        return {"palette": greys, "ignore": " ".join(f"#{n * 0x010101:06x}" for n in sorted(numbers))}
    return {"palette": " ".join(palette["palette"].split()[: top + 1]), "ignore": palette["ignore"]}


def _colours_in(maps: TargetMaps, ignored: Sequence[int]) -> list[int]:
    """Return the class colours in label maps as codes 0xrrggbb, sorted, without those in ``ignored``.

    Raises MediaError if maps have too many colours.
    """
    counts: Counter[int] = Counter()
    pictures = maps.pictures(0 if maps.is_lossless else 2 * NUM_SAMPLE_FRAMES)
    pixels = 0
    for picture in pictures:
        pixels += picture.shape[0] * picture.shape[1]
        inside = picture if maps.is_lossless else picture[_is_flat(picture)]
        codes, times = np.unique(pack_colours(inside.reshape(-1, 3)), return_counts=True)
        counts.update(dict(zip(codes.tolist(), times.tolist(), strict=True)))
        if maps.is_lossless and len(counts) > MAX_CLASSES:
            break
    if maps.is_lossless and len(counts) <= MAX_CLASSES:
        return sorted(set(counts) - set(ignored))
    if sum(counts.values()) < MIN_FLAT_SHARE * pixels:
        raise MediaError(maps.name, NOT_MAPS, REMEDY)
    return [code for code in _clusters(counts, maps) if code not in ignored]


def _is_flat(picture: np.ndarray) -> np.ndarray:
    """Return a mask, (H, W) bool: True inside areas of one class, False at borders; picture: (H, W, 3) uint8."""
    box = np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(picture, box), cv2.erode(picture, box))
    flat: np.ndarray = spread.max(axis=2) <= MAX_FLAT_DIFFERENCE
    return flat


def _clusters(counts: Counter[int], maps: TargetMaps) -> list[int]:
    """Return the centres of the clusters of colours in compressed label maps, sorted.

    Raises MediaError for too many.
    """
    codes = np.array(sorted(counts), np.int64)
    times = np.array([counts[code] for code in codes.tolist()], np.int64)
    rgb = _rgb(codes)
    is_remaining, centres = np.ones(len(codes), bool), []
    min_count = MIN_REPORTED_SHARE * times.sum()
    while is_remaining.any():
        centre = np.flatnonzero(is_remaining)[times[is_remaining].argmax()]
        is_near = is_remaining & (np.square(rgb - rgb[centre]).sum(axis=1) <= MIN_CLASS_DISTANCE**2)
        if times[is_near].sum() >= min_count:
            centres.append(int(codes[centre]))
        is_remaining &= ~is_near
        if len(centres) > MAX_CLASSES:
            break
    if not 0 < len(centres) <= MAX_CLASSES or _is_photograph(counts, centres):
        raise MediaError(maps.name, NOT_MAPS, REMEDY)
    return sorted(centres)


def _rgb(codes: np.ndarray) -> np.ndarray:
    """Return the colours, (N, 3), of codes 0xrrggbb, (N,) int64."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)


def _is_photograph(counts: Counter[int], centres: Sequence[int]) -> bool:
    """Return whether maps are photographs: fewer than half of their pixels have a colour near one of ``centres``.

    ``counts``: number of pixels by colour code, in flat areas.
    """
    codes = np.array(list(counts), np.int64)
    times = np.array(list(counts.values()), np.float64)
    distance = np.square(_rgb(codes)[:, None] - _rgb(np.array(centres))[None]).sum(axis=2).min(axis=1)
    return float(times[distance <= 3 * MAX_FLAT_DIFFERENCE**2].sum()) < 0.5 * times.sum()


def report_classes(pairing: Pairing, requested: Pairing, maps: TargetMaps, context: Context) -> None:
    """Report the classes that were found, and warn of pixels without a class and of compressed label maps.

    ``pairing``: with these classes; ``requested``: the pairing before the search for classes.
    """
    if not isinstance(pairing, Segment) or not isinstance(requested, Segment):
        return
    classes, name = pairing.class_colours, maps.name
    names = classes.names
    if not requested.settings.palette:
        few = " ".join(names[:8]) + (" …" if len(names) > 8 else "")
        context.note(f"{name}: {len(names)} classes were found, of these colours, in this order: {few}")
    if not maps.is_lossless:
        text = (
            "its label maps are compressed with loss, so that colours are mixed where classes meet: borders are guessed"
        )
        context.note(f"{name}: {text}; PNG keeps them", "warning")
    pixels = unknown = 0
    for picture in maps.pictures(NUM_SAMPLE_FRAMES):
        pixels += picture.shape[0] * picture.shape[1]
        unknown += classes.count_unknown(picture)
    if unknown > MIN_REPORTED_SHARE * pixels:
        share = f"{unknown / pixels:.1%} of the pixels have colours of no class"
        context.note(
            f"{name}: {share}, and nothing is learned there: name all in pairing.palette or pairing.ignore", "warning"
        )


def with_clip_names(pairing: Pairing, folder: Path, target: Path | None) -> Pairing:
    """Return a pairing of changes between two pictures with the names of the two clips in ``folder``.

    The earlier clip comes first. Another pairing, or one that has names, is returned unchanged.
    """
    if not isinstance(pairing, Change) or pairing.settings.guides or not folder.is_dir():
        return pairing
    label_maps = target.resolve() if target else None
    names = [name for name, path in find_guides(folder).items() if path.resolve() != label_maps and name != "target"]
    if len(names) != 2:
        return pairing
    names.sort(key=lambda name: (name.lower() in ("after", "t2", "post"), name))
    return make_pairing(pairing.name, vars(pairing.settings) | {"guides": names})
