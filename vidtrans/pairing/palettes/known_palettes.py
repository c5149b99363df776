"""The palettes of well-known data sets of label maps, and the colours that mean 'unlabelled' in them."""

from __future__ import annotations

from typing import NamedTuple


class KnownPalette(NamedTuple):
    """The classes of a data set, name → '#rrggbb', and the colours of pixels without a class."""

    classes: dict[str, str]
    ignore: str

    @property
    def colours(self) -> str:
        """The colours in order, as a setting ``palette``."""
        return " ".join(self.classes.values())


def _voc_colour(number: int) -> str:
    """Return a colour of PASCAL VOC: three bits of the number at a time go to R, G and B, from the highest down."""
    rgb = [sum((number >> 3 * k + channel & 1) << 7 - k for k in range(8)) for channel in range(3)]
    return "#" + bytes(rgb).hex()


_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

KNOWN_PALETTES = {
    # Cordts et al., CVPR 2016: the 19 classes that are scored.
    "cityscapes": KnownPalette(
        {
            "road": "#804080",
            "sidewalk": "#f423e8",
            "building": "#464646",
            "wall": "#66669c",
            "fence": "#be9999",
            "pole": "#999999",
            "traffic light": "#faaa1e",
            "traffic sign": "#dcdc00",
            "vegetation": "#6b8e23",
            "terrain": "#98fb98",
            "sky": "#4682b4",
            "person": "#dc143c",
            "rider": "#ff0000",
            "car": "#00008e",
            "truck": "#000046",
            "bus": "#003c64",
            "train": "#005064",
            "motorcycle": "#0000e6",
            "bicycle": "#770b20",
        },
        # Void: unlabelled, dynamic, ground, parking, rail track, guard rail, bridge, pole group, caravan, trailer.
        "#000000 #6f4a00 #510051 #faaaa0 #e6968c #b4a5b4 #966464 #96785a #00005a #00006e",
    ),
    # Everingham et al., IJCV 2010; the ignored colour is that of index 255, on the outlines.
    "voc": KnownPalette({name: _voc_colour(n) for n, name in enumerate(_VOC)}, _voc_colour(255)),
    # Brostow et al., ECCV 2008: the eleven classes of most papers.
    "camvid": KnownPalette(
        {
            "sky": "#808080",
            "building": "#800000",
            "pole": "#c0c080",
            "road": "#804080",
            "pavement": "#0000c0",
            "tree": "#808000",
            "sign": "#c08080",
            "fence": "#404080",
            "car": "#400080",
            "pedestrian": "#404000",
            "bicyclist": "#0080c0",
        },
        "#000000",
    ),
    # Tyleček and Šára, GCPR 2013 (CMP), in the colours of pix2pix's pairs, a jet colour map.
    "facades": KnownPalette(
        {
            "background": "#0000dd",
            "facade": "#0030ff",
            "window": "#0080ff",
            "door": "#00cfff",
            "cornice": "#20ffdf",
            "sill": "#70ff8f",
            "balcony": "#bfff40",
            "blind": "#ffef00",
            "deco": "#ff9f00",
            "molding": "#ff5000",
            "pillar": "#ff0000",
            "shop": "#af0000",
        },
        "",
    ),
}

# The 35 labels of Cityscapes by their numbers, as networks of pix2pixHD and SPADE take them.
_CITYSCAPES_NUMBERS = (
    *("unlabelled", "ego vehicle", "rectification border", "out of region", "static", "dynamic", "ground", "road"),
    *("sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole"),
    *("pole group", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck"),
    *("bus", "caravan", "trailer", "train", "motorcycle", "bicycle", "licence plate"),
)


def class_names(palette: str, classes: int) -> list[str]:
    """Return the names of classes: those of the data set with this ``palette``, or with 35 numbers; else their numbers.

    Beyond the palette, classes have numbers.
    """
    known = next((list(known.classes) for known in KNOWN_PALETTES.values() if known.colours == palette), [])
    if not palette and classes == len(_CITYSCAPES_NUMBERS):
        known = list(_CITYSCAPES_NUMBERS)
    return [*known[:classes], *(f"class {number}" for number in range(len(known), classes))]
