"""The program that draws the style pictures: one quick medium is drawn, and every medium has a picture that ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LARGEST = 250_000  # bytes; the first three are older, and larger
OLDER = {"ink", "oil", "print"}


def draw(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "style_pictures.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_medium_is_drawn_as_it_ships(tmp_path: Path) -> None:
    result = draw(tmp_path / "looks", "blueprint")

    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / "looks").iterdir()] == ["blueprint.jpg"]
    drawn, ships = (cv2.imread(str(folder / "blueprint.jpg")) for folder in (tmp_path / "looks", EXAMPLES / "looks"))
    assert drawn.shape == ships.shape
    assert np.abs(drawn.astype(float) - ships).mean() < 6  # other versions of libraries round otherwise


def test_each_medium_has_a_picture_and_no_other_picture_ships(tmp_path: Path) -> None:
    result = draw(tmp_path, "fresco")

    assert result.returncode == 1
    assert result.stderr.startswith("fresco: no such medium; there are ink, oil, print, ")
    names = set(result.stderr.strip().rpartition("there are ")[2].split(", "))
    pictures = list((EXAMPLES / "looks").glob("*.jpg"))
    assert {path.stem for path in pictures} == names
    for path in pictures:
        assert cv2.imread(str(path)).shape[1] == 1024, path.name
        assert path.stem in OLDER or path.stat().st_size <= LARGEST, path.name
