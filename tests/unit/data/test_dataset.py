"""The dataset: who is held out, what makes a pair, and the folder on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import scene
from datasets import make_dataset, put
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.errors import Interrupted, MediaError
from vidtrans.core.events import Stop, ignore_event
from vidtrans.core.files import DATASET_FILE
from vidtrans.core.settings import Size
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.data.dataset_planning import plan_dataset, split_roles
from vidtrans.data.making import write_pictures
from vidtrans.data.settings import DatasetSettings
from vidtrans.data.sources import find_pairs
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import write_picture


@hypothesis_settings(max_examples=20)
@given(st.integers(0, 400), st.floats(0, 0.5), st.integers(1, 20), st.integers(0, 10))
def test_held_out_frames_come_in_whole_blocks_with_gaps_around(n: int, fraction: float, block: int, gap: int) -> None:
    roles = split_roles(n, fraction, block, gap)
    assert len(roles) == n
    line = "".join({"train": ".", "gap": "g", "val": "H"}[r] for r in roles)
    span = "g" * gap + "H" * block + "g" * gap
    assert set(line.replace(span, "")) <= {"."}
    assert line.count(".") >= n / 2
    assert line.count("H") <= max(block, n * fraction + block / 2)
    assert roles == split_roles(n, fraction, block, gap)


def test_equal_names_in_a_and_b_are_pairs(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        put(tmp_path / "A" / f"{i}.png", i)
        put(tmp_path / "B" / f"{i}.png", i + 10, (25, 20))
    put(tmp_path / "A" / "alone.png")
    put(tmp_path / "A" / "other7.png")
    put(tmp_path / "B" / "thing7.png", 3)  # an equal number is no pair where names are equal
    put(tmp_path / "A" / ".hidden.png")
    (tmp_path / "A" / "notes.txt").write_text("x")
    found = find_pairs(tmp_path, "AtoB")
    assert [p.name for p, _ in found.pairs] == ["0.png", "1.png", "2.png"]
    assert set(found.roles) == {None}
    for direction, first in (("AtoB", 0), ("BtoA", 10)):
        shown, target = next(iter(find_pairs(tmp_path, direction).pictures([0], Size())))
        assert shown.shape == target.shape == (16, 20, 3)  # of one size, A's
        assert np.array_equal(shown if first == 0 else target, scene(20, 16, 0))


def test_a_b_side_by_side_is_cut_in_its_middle(tmp_path: Path) -> None:
    left, right = scene(20, 16, 1), scene(20, 16, 2)
    write_picture(tmp_path / "x.png", np.concatenate([left, right], axis=1))
    shown, target = next(iter(find_pairs(tmp_path, "AtoB").pictures([0], Size())))
    assert np.array_equal(shown, left)
    assert np.array_equal(target, right)
    shown, _ = next(iter(find_pairs(tmp_path, "BtoA").pictures([0], Size(exact=(10, 8)))))
    assert shown.shape == (8, 10, 3)


@pytest.mark.parametrize("layout", ["{part}/A/{name}", "A/{part}/{name}", "{part}/{name}"])
def test_train_val_and_test_folders_say_the_role(tmp_path: Path, layout: str) -> None:
    for part, name in (("train", "1.png"), ("train", "2.png"), ("val", "1.png"), ("test", "3.png")):
        path = layout.format(part=part, name=name)
        put(tmp_path / path)
        if "A" in path:
            put(tmp_path / path.replace("A", "B"))
    found = find_pairs(tmp_path, "AtoB")
    assert sorted(zip((p.name for p, _ in found.pairs), found.roles, strict=True)) == [
        ("1.png", "train"),
        ("1.png", "val"),
        ("2.png", "train"),
        ("3.png", "val"),
    ]
    plan = plan_dataset([found], make_pairing("aligned", {}), DatasetSettings())
    assert [r.role for r in plan.records] == list(found.roles)
    assert len({r.shot for r in plan.records}) == 4


def test_a_folder_without_pairs_is_a_media_error(tmp_path: Path) -> None:
    put(tmp_path / "A" / "1.png")
    put(tmp_path / "B" / "2.png")
    with pytest.raises(MediaError, match="no pairs in it"):
        find_pairs(tmp_path, "AtoB")


def test_a_stopped_build_goes_on_where_it_was(tmp_path: Path) -> None:
    for i in range(60):
        put(tmp_path / "in" / f"{i:03}.png", i, (32, 16))
    source, settings = find_pairs(tmp_path / "in", "AtoB"), DatasetSettings()
    plan, stop, done = plan_dataset([source], make_pairing("aligned", {}), settings), Stop(), []

    def build(folder: Path, marked: list[int], after: Callable[[int], None] = lambda n: None) -> None:
        mark = lambda n: (marked.append(n), after(n))  # noqa: E731
        write_pictures([source], plan, settings, folder, lambda n: n in marked, mark, ignore_event, stop)

    with pytest.raises(Interrupted):
        build(tmp_path / "a", done, lambda n: stop.request(143))
    assert done == [0]
    stop.exit_status = None
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.png")}
    build(tmp_path / "a", done)
    build(tmp_path / "b", [])
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    files = sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*.png"))
    assert len(files) == 120
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def places(dataset: Dataset) -> list[tuple[list[int], int, str]]:
    return [([int(p.stem) for p in pair.inputs], int(pair.target.stem), pair.role) for pair in dataset.pairs]


def change(folder: Path, damage: Callable[[Any], Any]) -> None:
    value = damage(json.loads((folder / DATASET_FILE).read_text()))
    (folder / DATASET_FILE).write_text(json.dumps(value))


def changed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda value: {**value, **changes}


def frame_changed(*numbers: int, **changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda v: {**v, "frames": [f | changes if i in numbers else f for i, f in enumerate(v["frames"])]}


def test_a_deleted_picture_drops_its_pairs_alone(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d")
    before = places(open_dataset(folder))
    (folder / "clip" / "000003.png").unlink()
    dataset = open_dataset(folder)
    assert places(dataset) == [p for p in before if 3 not in (*p[0], p[1])]
    assert dataset.num_missing == 1
    assert len(dataset.files()) == 11
    aligned = make_dataset(tmp_path / "aligned", "aligned")
    (aligned / "clip.target" / "000003.png").unlink()
    assert [t for _, t, _ in places(open_dataset(aligned))] == [0, 1, 2, *range(4, 12)]


def test_a_damaged_index_is_a_media_error_that_names_it(tmp_path: Path) -> None:
    put(tmp_path / "secret.png")
    folder = make_dataset(tmp_path / "d")
    whole = (folder / DATASET_FILE).read_bytes()
    damages = [
        lambda v: [],
        lambda v: {k: x for k, x in v.items() if k != "frames"},
        changed(format=99),
        *(changed(**{name: 5}) for name in ("preset", "key", "size", "pairing")),
        changed(frames=[1]),
        changed(pairing={"name": "edges"}),
        changed(pairing={"name": "no-such", "settings": {}}),
        changed(pairing={"name": "edges", "settings": {"no_such": 1}}),
        frame_changed(0, no_such=1),
        *(frame_changed(0, file=f) for f in (7, "../secret.png", "/etc/passwd", "clip/../../secret.png")),
        frame_changed(0, target="../secret.png"),
    ]
    for number, damage in enumerate(damages):
        (folder / DATASET_FILE).write_bytes(whole)
        change(folder, damage)
        with pytest.raises(MediaError) as caught:
            open_dataset(folder)
        assert str(folder) in str(caught.value), number
    for data in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        (folder / DATASET_FILE).write_bytes(data)
        with pytest.raises(MediaError, match="damaged"):
            open_dataset(folder)
