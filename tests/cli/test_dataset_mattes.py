"""``vidtrans make-dataset --matte``: the network sees where the thing is, in one more channel of its input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import quick_training, refuse, said, said_json
from clips import decode, moving_frames, write_folder
from directed_clip import halves, lossless

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.models.model_file import load_generator
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.pairing_records import PAIRINGS_WITHOUT_MATTE, make_pairing, pairing_record

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
COUNT = 16
SIZE = "--set=dataset.size=32"


@pytest.fixture
def clips() -> None:
    lossless(Path("c.mkv"), moving_frames(COUNT))
    lossless(Path("m.mkv"), halves(COUNT))


@pytest.mark.usefixtures("clips")
def test_the_network_is_told_where_the_thing_is(capsys: Capsys) -> None:
    lossless(Path("t.mkv"), [255 - frame for frame in moving_frames(COUNT)])
    flags = ("--pairing", "aligned", "--target", "t.mkv", "--matte", "m.mkv")
    made = ("make-dataset", "c.mkv", *flags, SIZE, "-o", "d.dataset")
    said(capsys, 0, *made)
    stored = sorted(Path("d.dataset/c.matte").glob("*.png"))
    assert len(stored) == COUNT
    for path in stored:
        matte = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        wanted = cv2.resize(halves(COUNT)[int(path.stem)][..., 0], matte.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(matte.astype(int) - wanted).max() < 40
    index = json.loads(Path("d.dataset/dataset.json").read_text())
    assert index["pairing"]["settings"]["matte"] is True
    said(capsys, 0, "sheet", "d.dataset", "-o", "sheet.png", "-n", "2")
    api.train("d.dataset", "m.safetensors", settings=quick_training())
    _, record = load_generator(Path("m.safetensors"))
    assert record.in_channels == make_pairing("aligned", {}).in_channels + 1
    command = ("stylize", "c.mkv", "--model", "m.safetensors", "--temporal", "off", "--codec", "ffv1", "-o")
    said(capsys, 0, *command, "a.mkv", "--mask", "m.mkv")
    said(capsys, 0, *command, "b.mkv", "--mask", "not:m.mkv")
    a, b = (decode(Path(f"{name}.mkv"))[2] for name in "ab")
    assert any(not np.array_equal(one, other) for one, other in zip(a, b, strict=True))
    source = decode(Path("c.mkv"))[2]
    assert not np.array_equal(a[3][:, 50:], source[3][:, 50:])  # the mask is an input: the result is not cut by it
    assert "was taught with mattes" in refuse(capsys, 2, *command, "x.mkv")
    assert "does not take" in refuse(capsys, 2, "try", "c.mkv", "--model", "m.safetensors", "-o", "t.png")
    region = ("--mask", "m=m.mkv", "--region", "m=m.safetensors")
    assert "its input has a mask of its own" in refuse(capsys, 2, "stylize", "c.mkv", *region, "-o", "x.mkv")
    assert said_json(capsys, *made)["cached"]
    lossless(Path("m.mkv"), halves(COUNT, step=2))
    assert "made from other inputs" in refuse(capsys, 2, *made)


@pytest.mark.usefixtures("clips")
def test_each_clip_has_its_own_matte(capsys: Capsys) -> None:
    Path("clips").mkdir()
    Path("mattes").mkdir()
    for name in ("a", "b"):
        lossless(Path(f"clips/{name}.mkv"), moving_frames(8))
    lossless(Path("mattes/a.matte.mkv"), halves(8))
    made = ("make-dataset", "clips", "--pairing", "edges", "--matte", "mattes", SIZE, "-o", "d.dataset")
    assert "mattes holds none for b.mkv" in refuse(capsys, 2, *made)
    lossless(Path("mattes/b.matte.mkv"), halves(8, step=4))
    said(capsys, 0, *made)
    whites = [sum(cv2.imread(str(p))[..., 0].mean() for p in Path(f"d.dataset/{n}.matte").iterdir()) for n in "ab"]
    assert whites[1] > 1.2 * whites[0]
    said(capsys, 0, "stylize", "clips", "--model", "identity", "--mask", "mattes", "-o", "out", "--executor", "inline")


@pytest.mark.usefixtures("clips")
def test_what_takes_no_matte_is_refused(capsys: Capsys) -> None:
    for side in ("A", "B"):
        write_folder(Path("pairs") / side, moving_frames(2))
    for source, flags, text in (
        ("c.mkv", ("--pairing", "next-frame"), "the input of pairing 'next-frame' is not one frame"),
        ("c.mkv", ("--pairing", "labels", "--target", "m.mkv"), "the input of pairing 'labels' is not one frame"),
        ("pairs", ("--pairing", "aligned"), "in no order"),
    ):
        assert text in refuse(capsys, 2, "make-dataset", source, "--matte", "m.mkv", *flags, "-o", "d.dataset")


@pytest.mark.parametrize("name", sorted(PAIRINGS))
def test_every_pairing_takes_a_matte_as_its_last_channel_or_none(name: str) -> None:
    settings: dict[str, Any] = {"model": "flower"} if name == "model" else {}
    plain = make_pairing(name, settings)
    if plain.offsets != (0,) or plain.guides or plain.extraction or plain.uses_mask or name in PAIRINGS_WITHOUT_MATTE:
        with pytest.raises(UsageError, match="is not one frame"):
            make_pairing(name, settings | {"matte": True})
        return
    paired = make_pairing(name, settings | {"matte": True})
    record = pairing_record(paired)
    assert record["settings"].pop("matte") is True
    assert record == pairing_record(plain)
    rng = np.random.default_rng(0)
    frame, matte = rng.integers(0, 255, (2, 32, 48, 3), np.uint8)
    given = paired.input([frame, np.repeat(matte[..., :1], 3, 2)])
    assert given.shape[2] == paired.in_channels == plain.in_channels + 1
    assert np.array_equal(given[..., :-1], plain.input([frame]))
    assert np.array_equal(given[..., -1], matte[..., 0])
    assert np.array_equal(given, paired.render_input([frame], 0, matte[..., 0]))
    assert paired.preview(given).shape == (32, 48, 3)
