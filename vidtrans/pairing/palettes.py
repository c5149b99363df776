"""Palettes of class colours: those of well-known data sets, and those in files (lists, GIMP, Photoshop, JSON).

``class_colours`` applies palettes to label maps. This module's imports are light, because recipes read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file
from vidtrans.core.settings import Table
from vidtrans.core.system import path_as_stored
from vidtrans.core.text_files import decode_text

HEX_COLOUR = re.compile(r"#([0-9a-fA-F]{6})\b")  # Matches a colour such as "#804080" in a text
# Matches an integer of up to three digits in a line such as "7 128 64 128 road"
NUMBER = re.compile(r"(?<![\w.#-])\d{1,3}(?![\w.])", re.ASCII)
MAX_FILE_BYTES = 1_000_000  # Largest number of bytes that are read of a palette file
# Number of bytes of the 256 colours in an .act file of Photoshop; the number of used colours may follow
ACT_BYTES = 768


class DatasetPalette(NamedTuple):
    """The classes of a data set, each name with its "#rrggbb", and the colours of pixels without a class."""

    classes: dict[str, str]
    ignore: str

    @property
    def colours(self) -> str:
        """Return the colours in order, as a value for the setting ``palette``."""
        return " ".join(self.classes.values())


def _voc_colour(number: int) -> str:
    """Return the colour of a PASCAL VOC class, which spreads the bits of its number over R, G and B."""
    rgb = [sum([(number >> 3 * k + channel & 1) << 7 - k for k in range(8)]) for channel in range(3)]
    return "#" + bytes(rgb).hex()


# Names of the PASCAL VOC classes, in the order of their numbers
_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def _parse_classes(text: str) -> dict[str, str]:
    """Parse a text with classes and their colours, "name #rrggbb, …"."""
    return {name: colour for name, _, colour in (part.strip().rpartition(" ") for part in text.split(","))}


# Palettes of well-known data sets, by the name that the setting ``palette`` accepts
KNOWN_PALETTES = {
    # Cordts et al., CVPR 2016: the 19 classes of the benchmark.
    "cityscapes": DatasetPalette(
        _parse_classes(
            "road #804080, sidewalk #f423e8, building #464646, wall #66669c, fence #be9999, pole #999999, "
            "traffic light #faaa1e, traffic sign #dcdc00, vegetation #6b8e23, terrain #98fb98, sky #4682b4, "
            "person #dc143c, rider #ff0000, car #00008e, truck #000046, bus #003c64, train #005064, "
            "motorcycle #0000e6, bicycle #770b20"
        ),
        # Void: unlabelled, dynamic, ground, parking, rail track, guard rail, bridge, pole group, caravan, trailer.
        "#000000 #6f4a00 #510051 #faaaa0 #e6968c #b4a5b4 #966464 #96785a #00005a #00006e",
    ),
    # Everingham et al., IJCV 2010; the ignored colour is that of index 255, which marks outlines.
    "voc": DatasetPalette({name: _voc_colour(n) for n, name in enumerate(_VOC)}, _voc_colour(255)),
    # Brostow et al., ECCV 2008: the eleven classes of most papers.
    "camvid": DatasetPalette(
        _parse_classes(
            "sky #808080, building #800000, pole #c0c080, road #804080, pavement #0000c0, tree #808000, sign #c08080, "
            "fence #404080, car #400080, pedestrian #404000, bicyclist #0080c0"
        ),
        "#000000",
    ),
    # Tyleček and Šára, GCPR 2013 (CMP), in the colours of pix2pix's pairs, a jet colour map.
    "facades": DatasetPalette(
        _parse_classes(
            "background #0000dd, facade #0030ff, window #0080ff, door #00cfff, cornice #20ffdf, sill #70ff8f, "
            "balcony #bfff40, blind #ffef00, deco #ff9f00, molding #ff5000, pillar #ff0000, shop #af0000"
        ),
        "",
    ),
}

# Names of the 35 labels of Cityscapes in the order of their numbers, as in pix2pixHD and SPADE
_CITYSCAPES_NUMBERS = (
    *("unlabelled", "ego vehicle", "rectification border", "out of region", "static", "dynamic", "ground", "road"),
    *("sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole"),
    *("pole group", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck"),
    *("bus", "caravan", "trailer", "train", "motorcycle", "bicycle", "licence plate"),
)


def class_names(palette: str, classes: int) -> list[str]:
    """Return a name for each class: from the data set with this ``palette`` or number of classes, else the number."""
    known = next((list(known.classes) for known in KNOWN_PALETTES.values() if known.colours == palette), [])
    if not palette and classes == len(_CITYSCAPES_NUMBERS):
        known = list(_CITYSCAPES_NUMBERS)
    return [*known[:classes], *(f"class {number}" for number in range(len(known), classes))]


def with_palette_file(table: Mapping[str, object]) -> Table:
    """Replace the name in the setting ``palette`` of pairing settings by the colours that it stands for.

    The name is that of a file, or of a well-known data set, which also has colours to ``ignore``. Raises UsageError.
    """
    value = table.get("palette")
    if isinstance(value, str) and (known := KNOWN_PALETTES.get(value.lower())):
        return {"ignore": known.ignore} | dict(table) | {"palette": known.colours}
    if not isinstance(value, str) or value.lstrip().startswith("#") or not _is_file(value):
        return dict(table)
    found = colours_in(Path(value))
    if not found:
        remedy = "list '#rrggbb' or 'r g b', one class on each line"
        raise UsageError(f"pairing.palette={value}", "no colours in it", remedy)
    return dict(table) | {"palette": " ".join("#" + bytes(colour).hex() for colour in found)}


def _is_file(text: str) -> bool:
    """Return whether a text is the path of a file, and not a long list of colours."""
    try:
        return path_as_stored(Path(text)).is_file()
    except (OSError, ValueError):
        return False


def colours_in(path: Path) -> list[list[int]]:
    """Read the colours in a file as [r, g, b], one for each class.

    A line has '#rrggbb' or three numbers, optionally with the class's number before them, and its name. JSON has such
    strings, or lists of three numbers, in order. Of an indexed picture, the palette is read. Raises UsageError.
    """
    path = path_as_stored(path)
    check_regular_file(path, UsageError)
    suffix = path.suffix.lower()
    if suffix in (".png", ".bmp", ".tif", ".tiff"):
        from vidtrans.video.images.picture import read_palette

        palette = read_palette(path)
        return [] if palette is None else [list(map(int, colour)) for colour in palette]
    try:
        data = path.read_bytes()[:MAX_FILE_BYTES]
        if suffix == ".act" and len(data) >= ACT_BYTES:
            count = int.from_bytes(data[ACT_BYTES : ACT_BYTES + 2], "big") if len(data) >= ACT_BYTES + 4 else 256
            colours = [list(data[at : at + 3]) for at in range(0, 3 * (count or 256), 3)][:256]
            while len(data) == ACT_BYTES and len(colours) > 1 and colours[-1] == colours[-2]:  # Padding
                colours.pop()
            return colours
        text = decode_text(data)
        found = list(_colours_in_json(json.loads(text)) if suffix == ".json" else _colours_in_lines(text))
        if any(not 0 <= number < 256 for colour in found for number in colour):
            raise ValueError("a number in it is not one of 0 to 255")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"pairing.palette={path}", f"it cannot be read ({error})", "give a list of colours") from None


def _colours_in_lines(text: str) -> Iterator[list[int]]:
    """Yield the colours, [r, g, b], in the lines of a text."""
    for line in text.splitlines():
        if match := HEX_COLOUR.search(line):
            yield list(bytes.fromhex(match[1]))
            continue
        numbers = [int(number) for number in NUMBER.findall(line.partition("#")[0])]
        if len(numbers) >= 3:  # The first of four numbers is the class's number, unless a name precedes it
            yield numbers[1:4] if len(numbers) > 3 and line.lstrip()[:1].isdigit() else numbers[:3]


def _colours_in_json(value: object) -> Iterator[list[int]]:
    """Yield the colours, [r, g, b], in a JSON value, in order."""
    if isinstance(value, str) and (match := HEX_COLOUR.fullmatch(value)):
        yield list(bytes.fromhex(match[1]))
    elif isinstance(value, list) and len(value) == 3 and all(type(number) is int for number in value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _colours_in_json(item)
