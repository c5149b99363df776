"""Settings of stroke-based rendering (table [strokes]). The module imports little, because --help loads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.mask_files import INVERTED_PREFIX, MaskFile, mask_text, parse_mask
from vidtrans.core.options import Group, Use, option, settings_over_time
from vidtrans.core.settings import Table, to_table
from vidtrans.curves.curve import MovingSettings, replace_curve_files

FILES = ("medium", "palette", "fine", "directions")  # Names of the settings whose values are paths of files
PICTURE_USES = Use.VARY | Use.STREAM  # Commands that offer an option which changes the painted picture
NO_STROKES: Table = {"medium": "", "palette": ""}  # Settings of a recipe without strokes
PAINTINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")  # Suffixes of pictures of paintings
MEDIUM_FILES = (".toml", *PAINTINGS)  # Suffixes of files from which a painting medium can be loaded


def is_medium_file(medium: str) -> bool:
    """Return whether a ``medium`` setting is the path of a file, not the name of a built-in medium."""
    return Path(medium).suffix.lower() in MEDIUM_FILES


def is_painting(path: Path) -> bool:
    """Return whether the file of a medium is a picture of a painting, in colours; a grey picture is a brush."""
    if path.suffix.lower() not in PAINTINGS:
        return False
    if path.suffix.lower() != ".png":
        return True
    import cv2
    import numpy as np

    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return picture is not None and picture.ndim == 3 and picture.shape[2] == 3 and bool(np.ptp(picture, axis=2).max())


def medium_of_tables(tables: Mapping[str, Table]) -> str:
    """Return the value of ``strokes.medium`` in a recipe's tables, unchecked; '' if it is not set."""
    return str(tables.get("strokes", {}).get("medium", ""))


def map_strokes_files(table: Table, change: Callable[[Path], str]) -> Table:
    """Return a copy of a table [strokes] in which ``change(path)`` replaces the path of each input file."""
    found = replace_curve_files(StrokesSettings, dict(table), change)
    for name in FILES:
        given = found.get(name)
        if not given or not isinstance(given, str) or (name == "medium" and not is_medium_file(given)):
            continue
        mask = parse_mask(given) if name == "fine" else MaskFile(Path(given))
        if mask.terms:
            found[name] = mask_text(mask, change)
            continue
        found[name] = f"{INVERTED_PREFIX if mask.inverted else ''}{change(mask.path)}"
    return found


def _strokes_option(default: Any, name: str, help: str, metavar: str = "N", **traits: Any) -> Any:  # noqa: ANN401
    """Declare the option ``--strokes-NAME``, listed by ``--help-all`` and pages; ``traits``: fields of ``Option``."""
    return option(default, help, Group.STROKES, (f"--strokes-{name}",), metavar, rare=True, **traits)


def _curve(name: str, low: float, high: float, help: str, uses: Use = PICTURE_USES) -> Any:  # noqa: ANN401
    """Declare an option with default 1 whose value may vary over time between ``low`` and ``high``."""
    full_help = f"{help}, {low:g} to {high:g} times the medium's value; to change it over time, give a curve"
    return _strokes_option(1.0, name, full_help, "", moves=(low, high), uses=uses, form="more")


@dataclass(frozen=True)
class StrokesSettings(MovingSettings):
    """The medium of a painted film, and changes of its strokes relative to the medium's own."""

    table: ClassVar[str] = "strokes"

    medium: str = option(
        "",
        "Paint the result in strokes: a medium (oil, watercolour, pencil …), its TOML file, a brush (a grey "
        "PNG), or a painting. A painting gives strokes and colours like its own. '': no strokes.",
        Group.LOOK,
        ("--strokes",),
        metavar="MEDIUM|FILE",
        uses=PICTURE_USES,
        file="medium",
        form="more",
    )
    palette: str = option(
        "", "paint in the colours of this picture", Group.LOOK, metavar="PICTURE", uses=PICTURE_USES, access="path"
    )
    size: str | float = _curve("size", 0.25, 4.0, "width of strokes", PICTURE_USES | Use.LIVE)
    density: str | float = _curve("density", 0.25, 2.0, "number of strokes in an area")
    looseness: str | float = _curve(
        "looseness",
        0.0,
        3.0,
        "amount by which strokes cross edges and turn away from the form's direction",
        PICTURE_USES | Use.LIVE,
    )
    light: str | float = _curve("light", 0.0, 3.0, "height of the paint's relief")
    paper: str | float = _curve("paper", 0.0, 3.0, "strength of the paper's grain")
    fade: int = _strokes_option(
        14,
        "fade",
        "number of frames in which a stroke appears or disappears, at least 2",
        bounds=(2, 60),
        uses=Use.STREAM,
    )
    lag: float = _strokes_option(
        0.75,
        "lag",
        "share of its previous colour that a stroke keeps in each new frame",
        "X",
        bounds=(0.0, 0.98),
        uses=Use.STREAM,
    )
    on: int = _strokes_option(
        1,
        "on",
        "number of frames for which each painted picture is held; 2 is animation on twos",
        bounds=(1, 12),
        uses=Use.STREAM,
        form="more",
    )
    boil: int = _strokes_option(
        0,
        "boil",
        "number of frames after which new strokes replace all old ones; 0: never",
        bounds=(0, 1000),
        uses=Use.STREAM,
        form="more",
    )
    fine: str = _strokes_option(
        "", "fine", "a mask: strokes are half as wide where it is white, as for faces and hands", "MATTE", access="path"
    )
    directions: str = _strokes_option(
        "",
        "directions",
        "a picture of directions: strokes follow the lines in it, except in plain areas",
        "PICTURE",
        access="path",
        uses=PICTURE_USES,
    )

    @property
    def fine_mask(self) -> MaskFile | None:
        """Parse the setting ``fine``, the mask where strokes are narrower; None if it is empty. Raises UsageError."""
        return parse_mask(self.fine) if self.fine else None

    @property
    def files(self) -> list[Path]:
        """Return the paths of all input files: the medium, the pictures, and the mask. Raises UsageError."""
        found = [Path(self.medium)] if is_medium_file(self.medium) else []
        return [*found, *self.pictures.values(), *(self.fine_mask.files if self.fine_mask else [])]

    @property
    def pictures(self) -> dict[str, Path]:
        """Return the input pictures by setting name; a painting as medium is also the palette."""
        painting = {"palette": Path(self.medium)} if is_painting(Path(self.medium)) else {}
        return painting | {name: Path(file) for name in ("palette", "directions") if (file := getattr(self, name))}

    def for_key(self) -> Table:
        """Return the settings that affect the output, for cache keys, without input files and curves."""
        return {name: value for name, value in to_table(self).items() if name not in (*FILES, *CURVES)}


CURVES = settings_over_time(StrokesSettings)  # Names of the settings that may vary over time
