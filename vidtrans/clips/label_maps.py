"""Find the palette of label maps, and report labels that belong to no class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Table
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.labels import Labels, LabelsSettings
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.session import Context
from vidtrans.video.frame_format import DEFAULT_FORMAT
from vidtrans.video.images.picture import is_deep_grey, pack_colours, read_indices, read_palette, read_picture
from vidtrans.video.io.picture_paths import picture_files

NUM_SAMPLE_FRAMES = 24  # Number of frames in which labels are counted
MIN_REPORTED_SHARE = 0.0005  # Share of all pixels above which unknown labels, or coloured pixels, are reported
MIN_COLOUR_STEP = 12  # Least difference between the channels of a coloured pixel, in 8-bit levels
LOSSLESS_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp")  # Suffixes of formats that keep colours exactly
# The remedy in messages on label maps without a usable palette.
REMEDY = "give the colours of the classes in order: --set pairing.palette='#rrggbb …', or a FILE that lists them"


def with_palette(pairing: Pairing, files: Sequence[Path]) -> Pairing:
    """Return a pairing of label maps with the palette found in the pictures ``files``; other pairings unchanged.

    In indexed pictures the indices are the classes. In other pictures the colours are the classes, in the order of
    their values, if there are at most ``classes`` of them. Raises MediaError where two labels cannot be distinguished.
    """
    if not isinstance(pairing, Labels) or pairing.settings.palette or not files:
        return pairing
    changes = find_palette(pairing.settings, files)
    return make_pairing(pairing.name, vars(pairing.settings) | changes) if changes else pairing


def find_palette(settings: LabelsSettings, files: Sequence[Path]) -> Table:
    """Return the settings ``palette`` and ``ignore`` for label maps; {} if grey levels are the classes.

    Raises MediaError.
    """
    if deep := next((path for path in files if is_deep_grey(path)), None):
        why = "its levels have 16 bits, of which the labels would be the lowest"
        raise MediaError(str(deep), why, "save label maps with 8 bits: 0 to 255")
    palettes = [read_palette(path) for path in files]
    if all(palette is not None for palette in palettes):
        return _palette_of_indices(settings, files, [palette for palette in palettes if palette is not None])
    if any(palette is not None for palette in palettes):
        path = next(path for path, palette in zip(files, palettes, strict=True) if palette is None)
        raise MediaError(str(path), "it has no palette, and other label maps beside it have one", REMEDY)
    pictures = [read_picture(files[n]) for n in spread_numbers(len(files), NUM_SAMPLE_FRAMES)]
    is_coloured = any(_colour_mask(picture).any() for picture in pictures)
    if not is_coloured or any(p.suffix.lower() not in LOSSLESS_SUFFIXES for p in files):
        return {}
    colours: set[int] = set()
    for path in files:
        colours |= set(np.unique(pack_colours(read_picture(path))).tolist())
        if len(colours) > settings.classes:
            return {}
    return {"palette": " ".join(f"#{code:06x}" for code in sorted(colours))}


def _palette_of_indices(settings: LabelsSettings, files: Sequence[Path], palettes: Sequence[np.ndarray]) -> Table:
    """Return the settings ``palette`` and ``ignore`` of indexed label maps; {} if the palettes are grey levels.

    Raises MediaError where the palettes disagree, or two labels have one colour.
    """
    colour_of: dict[int, int] = {}
    for path, palette in zip(files, palettes, strict=True):
        codes = pack_colours(palette[None])[0].tolist()
        for index in np.unique(read_indices(path)).tolist():
            code = codes[index] if index < len(codes) else 0
            if colour_of.setdefault(index, code) != code:
                why = f"label {index} has another colour in its palette than in other label maps"
                raise MediaError(str(path), why, "save all with one palette, or as grey levels")
    repeated = [code for code, times in Counter(colour_of.values()).items() if times > 1]
    if repeated:
        labels = " and ".join(str(index) for index, code in colour_of.items() if code == repeated[0])
        why = f"labels {labels} have the same colour, #{repeated[0]:06x}, in the palette"
        raise MediaError(str(files[0].parent), why, "give each label its own colour, or save grey levels")
    longest = pack_colours(max(palettes, key=len)[None])[0].tolist()
    if all(code == index * 0x010101 for index, code in colour_of.items()):
        return {}
    # The colour of an unused label must not be that of a used one.
    free = (code for code in range(1 << 24) if code not in colour_of.values())
    num_classes = min(settings.classes, max(len(longest), *colour_of) + 1)
    unused = {i: code for i, code in enumerate(longest[:num_classes]) if i not in colour_of}
    unused = {i: next(free) if code in colour_of.values() else code for i, code in unused.items()}
    classes = [colour_of.get(i, unused.get(i)) for i in range(num_classes)]
    without_class = {code for index, code in colour_of.items() if index >= settings.classes}
    ignored = [colour_of[n] for n in settings.ignored_numbers if n in colour_of]
    ignore = " ".join(f"#{code:06x}" for code in sorted({*without_class, *ignored}))
    return {"palette": " ".join(f"#{code:06x}" for code in classes if code is not None), "ignore": ignore}


def report_labels(
    pairing: Pairing,
    original: Pairing,
    name: str,
    frames: Iterable[np.ndarray],
    files: Sequence[Path],
    context: Context,
) -> None:
    """Report which palette was found, and warn of labels that belong to no class.

    Args:
        pairing: The pairing; nothing is done unless it is one of label maps.
        original: The pairing before a palette was found.
        name: The name of the source, for messages.
        frames: Some label maps at full size, (H, W, 3) uint8.
        files: The files of the label maps; empty for a video.
        context: Receives the messages.
    """
    if not isinstance(pairing, Labels) or not isinstance(original, Labels):
        return
    settings = pairing.settings
    has_found_palette = settings.palette != original.settings.palette
    if has_found_palette:
        colours = settings.palette.split()
        listed = " ".join(colours[:8]) + (" …" if len(colours) > 8 else "")
        context.note(f"{name}: the classes have these colours, in this order: {listed}")
    if has_found_palette and read_palette(files[0]) is not None:
        label_maps = (read_indices(files[n]) for n in spread_numbers(len(files), NUM_SAMPLE_FRAMES))
        pairing, frames = original, (np.repeat(indices[..., None], 3, axis=2) for indices in label_maps)
    unknown: Counter[str] = Counter()
    num_pixels = num_coloured = 0
    for frame in frames:
        num_pixels += frame.shape[0] * frame.shape[1]
        num_coloured += 0 if settings.palette else int(_colour_mask(frame).sum())
        unknown.update(pairing.unknown_labels(frame))
    if num_coloured > MIN_REPORTED_SHARE * num_pixels:
        text = f"{name}: it has colours and no palette, so its red channel is read as classes: {REMEDY}"
        context.note(text, "warning")
    elif sum(unknown.values()) > MIN_REPORTED_SHARE * num_pixels:
        listed = ", ".join(f"{label}: {count / num_pixels:.1%}" for label, count in unknown.most_common(6))
        share = f"{sum(unknown.values()) / num_pixels:.1%} of the pixels"
        target = "the last class" if settings.rest_is_last else "no class"
        labels = f"labels other than the {settings.classes} classes ({listed}), which count as {target}"
        text = f"{name}: {share} have {labels}"
        context.note(f"{text}: raise pairing.classes, or name labels without a meaning in pairing.ignore", "warning")


def sample_frames(clip: Clip, context: Context) -> Iterable[np.ndarray]:
    """Yield evenly spread frames of a clip at full size, (H, W, 3) uint8."""
    numbers = spread_numbers(clip.index.num_frames, NUM_SAMPLE_FRAMES)
    return (frame.rgb for frame in read_clip_frames(clip, numbers, DEFAULT_FORMAT, context))


def label_setting_changes(pairing: Pairing, clip: Clip, context: Context) -> Table:
    """Return the settings of a pairing of label maps to change for a clip's palette; {} for other pairings.

    Labels that belong to no class are reported.
    """
    if not isinstance(pairing, Labels):
        return {}
    files = picture_files(clip.path) if clip.is_pictures and not clip.guides else []
    found = with_palette(pairing, files)
    report_labels(found, pairing, clip.name, sample_frames(clip, context), files, context)
    assert isinstance(found, Labels)
    return {n: v for n, v in vars(found.settings).items() if v != getattr(pairing.settings, n)}


def _colour_mask(rgb: np.ndarray) -> np.ndarray:
    """Return which pixels of a picture, (H, W, 3) uint8, are coloured rather than grey, (H, W) bool."""
    mask: np.ndarray = np.ptp(rgb.astype(np.int16), axis=2) > MIN_COLOUR_STEP
    return mask
