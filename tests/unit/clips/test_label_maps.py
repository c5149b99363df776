"""Label maps as they are found: palettes, colours without one, labels that are of no class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import said
from clips import write_folder
from PIL import Image

from vidtrans.clips.indexing import open_clip
from vidtrans.clips.label_maps import label_setting_changes, with_palette
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Note
from vidtrans.core.settings import Table
from vidtrans.data.dataset import open_dataset
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.palettes import colours_in, with_palette_file
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture

COLOURS = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192))
SHARES = (0.41, 0.21, 0.34, 0.04)  # of the pixels


def labels(numbers: tuple[int, ...] = (0, 1, 2, 255)) -> np.ndarray:
    counts = [round(share * 2000) for share in SHARES]
    return np.repeat(np.array(numbers, np.uint8), counts).reshape(50, 40)


def indexed(
    path: Path, colours: tuple[tuple[int, ...], ...] = COLOURS, numbers: tuple[int, ...] = (0, 1, 2, 255)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = np.zeros((256, 3), np.uint8)
    palette[list(numbers)] = colours
    picture = Image.frombytes("P", (40, 50), labels(numbers).tobytes())
    picture.putpalette(palette.ravel().tolist())
    picture.save(path)


def grey(path: Path) -> None:
    write_folder(path.parent, [labels()], [path.name])


def coloured(path: Path) -> None:
    write_folder(path.parent, [np.array(COLOURS, np.uint8)[labels((0, 1, 2, 0))]], [path.name])


def classes_of(table: Table, path: Path) -> list[float]:
    planes = make_pairing("labels", table).input([read_picture(path)])
    return [round(float(share), 2) for share in (planes == 255).mean((0, 1))]


def pairs(make: Callable[[Path], None]) -> None:
    for n in range(3):
        make(Path(f"pairs/A/{n}.png"))
    write_folder(Path("pairs/B"), [np.zeros((50, 40, 3), np.uint8)] * 3)


@pytest.mark.parametrize(("make", "ignore"), [(indexed, "255"), (grey, "")])
def test_the_indices_of_a_palette_are_classes_and_what_is_beyond_is_counted(
    make: Callable[[Path], None], ignore: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs(make)
    settings = ("--pairing", "labels", "--set=pairing.classes=3", f"--set=pairing.ignore={ignore}", "-o", "d")
    told = said(capsys, 0, "make-dataset", "pairs", *settings)
    words = "4.0% of the pixels have labels other than the 3 classes (255: 4.0%), which count as no class"
    assert (words in told) == (not ignore)
    assert ("the classes have these colours, in this order: #000000 #800000 #008000" in told) == (make is indexed)
    table = open_dataset(Path("d")).pairing_table["settings"]
    stored = next(path for path in Path("d").rglob("*.png") if "target" not in path.parent.name)
    assert classes_of(table, stored) == list(SHARES[:3])


def test_colours_without_a_palette_are_found_or_named(capsys: pytest.CaptureFixture[str]) -> None:
    pairs(coloured)
    command = ("make-dataset", "pairs", "--pairing", "labels", "-o")
    assert "in this order: #000000 #008000 #800000" in said(capsys, 0, *command, "d", "--set=pairing.classes=3")
    told = said(capsys, 0, *command, "few", "--set=pairing.classes=2")
    assert "it has colours and no palette, so its red channel is read as classes" in told
    Path("p.csv").write_text("name,r,g,b\nvoid,0,0,0\ncar,128,0,0\ntree,0,128,0\n")
    said(capsys, 0, *command, "given", "--set=pairing.classes=3", "--set=pairing.palette=p.csv")
    table = open_dataset(Path("given")).pairing_table["settings"]
    assert table["palette"] == "#000000 #800000 #008000"
    assert classes_of(table, Path("pairs/A/0.png")) == [0.45, 0.21, 0.34]


def test_labels_that_cannot_be_told_apart_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    indexed(Path("a/0.png"), (COLOURS[0], COLOURS[1], COLOURS[1], COLOURS[3]))
    with pytest.raises(MediaError, match="labels 1 and 2 have the same colour, #800000"):
        with_palette(make_pairing("labels", {}), [Path("a/0.png")])
    indexed(Path("b/0.png"))
    indexed(Path("b/1.png"), COLOURS[::-1])
    with pytest.raises(MediaError, match="label 0 has another colour in its palette"):
        with_palette(make_pairing("labels", {}), [Path("b/0.png"), Path("b/1.png")])
    grey(Path("b/2.png"))
    with pytest.raises(MediaError, match="it has no palette, and other label maps beside it have one"):
        with_palette(make_pairing("labels", {}), [Path("b/0.png"), Path("b/2.png")])
    write_folder(Path("c"), [labels().astype(np.uint16)], ["0.png"])
    with pytest.raises(MediaError, match="its levels have 16 bits"):
        with_palette(make_pairing("labels", {}), [Path("c/0.png")])


def test_ignored_labels_are_of_no_class_or_of_the_last() -> None:
    coloured(Path("a.png"))
    table: dict[str, Any] = {"classes": 2, "palette": "#000000 #800000", "ignore": "#008000"}
    assert classes_of(table, Path("a.png")) == [0.45, 0.21]
    assert classes_of(table | {"rest_is_last": True}, Path("a.png")) == [0.45, 0.55]
    grey(Path("g.png"))
    assert classes_of({"classes": 3, "ignore": "1"}, Path("g.png")) == [0.41, 0, 0.34]
    # A colour of an unused label does not take its place: palettes are filled up with black.
    indexed(Path("p.png"), ((9, 0, 0), (0, 0, 0), (0, 0, 200), (224, 224, 192)), (3, 7, 9, 255))
    found = with_palette(make_pairing("labels", {"classes": 10}), [Path("p.png")])
    assert classes_of(vars(found.settings), Path("p.png")) == [0, 0, 0, 0.41, 0, 0, 0, 0.21, 0, 0.34]
    with pytest.raises(UsageError, match=r"pairing\.ignore: 'sky' is no colour"):
        make_pairing("labels", {"ignore": "sky"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.txt", "#804080 road\n#f423e8 sidewalk\n"),
        ("p.txt", "# id r g b name\n0 128 64 128 road\n1 244 35 232 side.2\n"),
        ("p.gpl", "GIMP Palette\nName: a 1 2\nColumns: 2\n#\n128  64 128\troad\n244  35 232\tside\n"),
        ("p.json", '{"road": [128, 64, 128], "side": {"color": [244, 35, 232]}}'),
        ("p.json", '[{"name": "road", "color": "#804080"}, {"color": "#f423e8"}]'),
        ("p.act", bytes([128, 64, 128, 244, 35, 232]) + bytes(762) + bytes([0, 2, 255, 255])),
        ("p.act", bytes([128, 64, 128]) + bytes([244, 35, 232]) * 255),
    ],
)
def test_files_of_palettes(name: str, text: str | bytes) -> None:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert colours_in(Path(name)) == [[128, 64, 128], [244, 35, 232]]
    assert with_palette_file({"palette": name}) == {"palette": "#804080 #f423e8"}
    many = " ".join(["804080"] * 60)  # too long for a name
    assert with_palette_file({"palette": many}) == {"palette": many}


def test_an_indexed_picture_is_a_palette_and_others_are_answered() -> None:
    indexed(Path("a.png"))
    assert colours_in(Path("a.png"))[:3] == [list(colour) for colour in COLOURS[:3]]
    Path("p.txt").write_text("road\n")
    with pytest.raises(UsageError, match="no colours in it"):
        with_palette_file({"palette": "p.txt"})
    Path("p.json").write_text("[[1, 2, 300]]")
    with pytest.raises(UsageError, match="not one of 0 to 255"):
        with_palette_file({"palette": "p.json"})


def test_a_render_reads_the_palette_of_its_source() -> None:
    told: list[str] = []
    context = Context(report=lambda event: told.append(event.text) if isinstance(event, Note) else None)
    pairing = make_pairing("labels", {"classes": 3})
    for make, name in ((grey, "g"), (indexed, "i")):
        make(Path(f"{name}/0.png"))
        changes = label_setting_changes(pairing, open_clip(context, Path(name)), context)
        assert classes_of({"classes": 3} | changes, Path(f"{name}/0.png")) == list(SHARES[:3])
        assert f"{name}: 4.0% of the pixels have labels other than the 3 classes (255: 4.0%)" in told[-1]
    assert label_setting_changes(make_pairing("aligned", {}), open_clip(context, Path("g")), context) == {}
