from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Table
from vidtrans.studio import easel_store as module
from vidtrans.studio.easel_store import EaselStore
from vidtrans.studio.project_folder import ProjectFolder

NAME = "a.keyframes/000001.png"
FRAME = {"id": 0, "name": "The frame", "visible": True, "opacity": 1.0}
MARK = "0" * 40


def png(value: int, width: int = 8, height: int = 6) -> bytes:
    return cv2.imencode(".png", np.full((height, width, 4), value, np.uint8))[1].tobytes()


def check(path: Path) -> Table:
    if (picture := cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) is None:
        raise MediaError(path.name, "it cannot be decoded", "choose another")
    return {"width": picture.shape[1], "height": picture.shape[0]}


@pytest.fixture
def store(tmp_path: Path) -> EaselStore:
    return EaselStore(ProjectFolder(tmp_path), check)


def sent(store: EaselStore, data: bytes, mark: str = MARK) -> str:
    return store.receive(NAME, mark, 0, len(data), data)


def begun(store: EaselStore, **more: object) -> str:
    message = {"size": [8, 6], "number": 0, "layers": [FRAME], "pictures": {"0": sent(store, png(0))}, "stamp": ""}
    return store.save(NAME, message | more)


def stroke(store: EaselStore, value: int, parent: int, more: Table | None = None) -> int:
    keys = {side: sent(store, png(n, 2, 3)) for side, n in (("before", 0), ("after", value))}
    return store.add(NAME, {"parent": parent, "layer": 0, "box": [1, 2, 2, 3], **keys} | (more or {}))


def numbers(changes: Any) -> list[int]:
    return [change["number"] for change in changes]


def test_what_is_painted_after_an_undo_is_another_branch_and_the_stored_layers_lead_to_it(store: EaselStore) -> None:
    begun(store)
    for n in (1, 2, 3):
        stroke(store, n, n - 1)
    store.save(NAME, {"size": [8, 6], "number": 3, "layers": [FRAME], "pictures": {"0": sent(store, png(9))}})
    store.move(NAME, {"position": 1, "tip": 3, "layers": [FRAME]})
    assert stroke(store, 4, 1) == 4
    table = store.table(NAME)
    assert (numbers(table["back"]), numbers(table["forth"]), table["redo"]) == ([3, 2], [4], [])


def test_a_crash_between_two_writes_loses_one_change(store: EaselStore, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(store)
    stroke(store, 1, 0)
    write = module.write_json

    def crash(target: Path, value: object) -> None:
        if target.name == "sheet.json":
            raise OSError(5, "it broke")
        write(target, value)

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_json", crash)
        with pytest.raises(OSError, match="it broke"):
            stroke(store, 2, 1)
    assert numbers(store.table(NAME)["forth"]) == [1]
    assert stroke(store, 3, 1) == 3  # the file of the lost one is not replaced
    assert numbers(store.table(NAME)["forth"]) == [1, 3]


def test_the_flattened_picture_is_the_file_and_its_stamp_tells_another_program(
    store: EaselStore, tmp_path: Path
) -> None:
    stamp = begun(store, flat=sent(store, png(7)))
    file = tmp_path / NAME
    assert file.read_bytes() == png(7)
    assert store.table(NAME)["stamp"] == store.table(NAME)["sheet"]["stamp"] == stamp != ""
    file.write_bytes(png(8) + b"x")
    assert store.table(NAME)["stamp"] != store.table(NAME)["sheet"]["stamp"]
    theirs = store.stamp(NAME)
    assert begun(store, stamp=theirs) == theirs
    assert file.read_bytes() == png(8) + b"x"  # it is theirs
    file.unlink()
    assert store.stamp(NAME) == ""


def test_a_picture_comes_in_parts_and_is_a_png_file_of_the_right_size(store: EaselStore, tmp_path: Path) -> None:
    data = png(5)
    assert store.receive(NAME, MARK, 0, len(data), data[:20]) == ""
    with pytest.raises(UsageError, match="20 bytes of it are here"):
        store.receive(NAME, MARK, 30, len(data), data[30:])
    key = store.receive(NAME, MARK, 20, len(data), data[20:])
    assert store.picture(NAME, key).read_bytes() == data
    jpeg = cv2.imencode(".jpg", np.zeros((6, 8, 3), np.uint8))[1].tobytes()
    for bad in (b"no picture", jpeg, data[:-20], data[:33]):
        with pytest.raises(MediaError, match="no PNG file"):
            sent(store, bad)
    assert [p.name for p in (tmp_path / ".studio" / "uploads").iterdir()] == []
    begun(store)
    wrong = sent(store, png(1, 3, 3))
    with pytest.raises(UsageError, match="3x3, not 8x6"):
        begun(store, flat=wrong)
    with pytest.raises(UsageError, match="3x3, not 2x3"):
        stroke(store, 1, 0, {"after": wrong})
    for mark in ("", "../../x", "A" * 40, MARK + "/"):
        with pytest.raises(UsageError):
            store.receive(NAME, mark, 0, len(data), data)


@pytest.mark.parametrize(
    "name",
    [
        "a.png", "../a.keyframes/000001.png", "a.keyframes/x.png", "a.keyframes/1.jpg", "a.dataset/1.png", "",
        ".keyframes/1.png", "a.keyframes/1.png\n",
    ],
)  # fmt: skip
def test_only_painted_frames_have_a_sheet(store: EaselStore, name: str) -> None:
    for ask in (store.table, store.stamp, lambda n: store.change(n, 1), lambda n: store.picture(n, MARK)):
        with pytest.raises(UsageError):
            ask(name)


@pytest.mark.parametrize(
    "more",
    [
        {"parent": 9}, {"parent": True}, {"layer": None}, {"layer": "../x"}, {"box": [7, 0, 2, 3]}, {"box": "all"},
        {"box": [0, 0, 0, 3]}, {"before": "../sheet"}, {"before": None}, {"after": "f" * 40}, {"layers_after": []},
        {"layers_after": [FRAME, FRAME], "layers_before": [FRAME]},
        {"layers_after": [FRAME | {"opacity": 2}], "layers_before": [FRAME]},
    ],
)  # fmt: skip
def test_a_change_that_makes_no_sense_is_refused_and_leaves_the_sheet(store: EaselStore, more: Table) -> None:
    begun(store)
    before = json.dumps(store.table(NAME))
    with pytest.raises(UsageError):
        stroke(store, 1, 0, more)
    assert json.dumps(store.table(NAME)) == before


def test_the_oldest_changes_go_where_there_is_too_much(store: EaselStore, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(store)
    for n in range(1, 7):
        stroke(store, n, n - 1)
    monkeypatch.setattr(module, "MAX_HISTORY_BYTES", 600)
    monkeypatch.setattr(module, "UNUSED_PICTURE_S", -1.0)
    begun(store)  # the way from the stored layers is needed
    assert numbers(store.table(NAME)["forth"]) == [1, 2, 3, 4, 5, 6]
    store.save(NAME, {"size": [8, 6], "number": 6, "layers": [FRAME], "pictures": {"0": sent(store, png(9))}})
    there = [n for n in range(1, 7) if store.change(NAME, n)]
    assert there == list(range(there[0], 7))
    assert 1 < there[0] <= 6
    change = store.change(NAME, 6)
    assert change is not None
    assert store.picture(NAME, change["after"]).is_file()
    assert stroke(store, 7, 6) == 7


@pytest.mark.parametrize("wrong", [{"size": [8]}, {"position": 9}, {"layers": 5}, {"pictures": {"0": "../x"}}], ids=str)
def test_a_damaged_sheet_counts_as_none(store: EaselStore, tmp_path: Path, wrong: Table) -> None:
    begun(store)
    [file] = (tmp_path / ".studio" / "easel").glob("*/sheet.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    assert store.table(NAME)["sheet"] is None
    with pytest.raises(UsageError, match="keeps nothing of this frame"):
        store.move(NAME, {"position": 0, "tip": 0, "layers": [FRAME]})
    begun(store)
    assert stroke(store, 1, 0) == 1


@pytest.mark.parametrize("wrong", [{"parent": 3}, {"number": [2]}, {"box": "x"}], ids=str)
def test_a_damaged_change_ends_the_way_there(store: EaselStore, tmp_path: Path, wrong: Table) -> None:
    begun(store)
    for n in (1, 2, 3):
        stroke(store, n, n - 1)
    [file] = (tmp_path / ".studio" / "easel").glob("*/000002.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    assert numbers(store.table(NAME)["forth"]) == [3]
    assert store.change(NAME, 2) is None
    begun(store)  # which looks at all changes


def test_a_renamed_folder_keeps_its_layers_and_history(store: EaselStore, tmp_path: Path) -> None:
    begun(store)
    stroke(store, 1, 0)
    (tmp_path / "a.keyframes").mkdir()
    (tmp_path / NAME).write_bytes(png(1))
    for old, new in (("a.keyframes", "b.keyframes"), ("b.keyframes/000001.png", "b.keyframes/000002.png")):
        (tmp_path / old).rename(tmp_path / new)
        store.move_sheets(old, new)
    assert numbers(store.table("b.keyframes/000002.png")["forth"]) == [1]
    assert store.table(NAME)["sheet"] is None
    (tmp_path / "b.keyframes").rename(tmp_path / "c")
    store.move_sheets("b.keyframes", "c")  # where nothing is painted
    assert store.table("b.keyframes/000002.png")["sheet"] is not None
