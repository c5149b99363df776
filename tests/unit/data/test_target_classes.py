"""The classes that are found in label maps of all kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import write_folder
from PIL import Image

from vidtrans.core.errors import MediaError
from vidtrans.data.sources import FolderSource, find_pairs
from vidtrans.data.target_classes import TargetMaps, with_found_classes
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.palettes import KNOWN_PALETTES
from vidtrans.pairing.segment import Segment


def found(maps: TargetMaps, **settings: str) -> Segment:
    made = with_found_classes(make_pairing("segment", settings), maps)
    assert isinstance(made, Segment)
    return made


def indexed(folder: Path, indices: list[int], palette: list[int]) -> TargetMaps:
    folder.mkdir()
    picture = Image.fromarray(np.array([indices * 2] * 4, np.uint8), "P")
    picture.putpalette(palette)
    picture.save(folder / "0.png")
    return TargetMaps.of(folder, [])


def voc_palette() -> list[int]:
    rgb = ClassColours(KNOWN_PALETTES["voc"].colours).table.tolist()
    table = [*rgb, *[[n, 255 - n, n] for n in range(len(rgb), 255)], [224, 224, 192]]
    return [level for colour in table for level in colour]


def test_a_full_palette_has_as_many_classes_as_are_used(tmp_path: Path) -> None:
    made = found(indexed(tmp_path / "voc", [0, 1, 15, 255], voc_palette()))
    assert made.settings.palette.split() == list(KNOWN_PALETTES["voc"].classes.values())[:16]
    assert made.settings.ignore == "#e0e0c0"
    padded = found(indexed(tmp_path / "padded", [0, 2], [0, 0, 0, 0, 255, 0, 255, 0, 0]))
    assert made.class_colours.none.tolist() == [224, 224, 192]
    assert padded.settings.palette.split() == ["#000000", "#00ff00", "#ff0000"]


def test_a_number_that_is_ignored_is_an_index_of_indexed_pictures(tmp_path: Path) -> None:
    palette = [255, 255, 255, 0, 0, 0, 255, 0, 0]
    made = found(indexed(tmp_path / "a", [0, 1, 2], palette), ignore="0")
    assert (made.settings.palette, made.settings.ignore) == ("#000000 #ff0000", "#ffffff")


def test_a_class_of_one_map_of_many_is_found(tmp_path: Path) -> None:
    maps = [np.full((2, 4, 3), 7 + 4 * (n % 2), np.uint8) for n in range(120)]
    maps[4][:] = 13
    write_folder(tmp_path / "maps", maps)
    assert found(TargetMaps.of(tmp_path / "maps", [])).settings.palette == "#070707 #0b0b0b #0d0d0d"


def test_classes_are_those_of_all_folders_of_pairs(tmp_path: Path) -> None:
    folders: list[FolderSource] = []
    for name, colour in (("g1", (255, 0, 0)), ("g2", (0, 0, 255))):
        maps = np.zeros((8, 8, 3), np.uint8)
        maps[:4] = colour
        write_folder(tmp_path / name / "A", [np.zeros((8, 8, 3), np.uint8)])
        write_folder(tmp_path / name / "B", [maps])
        folders.append(find_pairs(tmp_path / name, "AtoB"))
    assert found(TargetMaps.of(None, folders)).settings.palette == "#000000 #0000ff #ff0000"


def test_one_class_is_none(tmp_path: Path) -> None:
    write_folder(tmp_path / "maps", [np.zeros((4, 4, 3), np.uint8)])
    with pytest.raises(MediaError, match="its label maps have 1 class"):
        found(TargetMaps.of(tmp_path / "maps", []))
