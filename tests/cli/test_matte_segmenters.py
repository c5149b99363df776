"""``vidtrans matte --segmenter``: a thing that another program's networks follow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from chain import refuse, said, said_json
from clips import decode
from onnx import helper
from onnx_graphs import constant, model, save, save_segmenter
from things import clip_of, moving_thing, overlap, write_mask

from vidtrans.core.errors import UsageError
from vidtrans.matting import object_mattes
from vidtrans.matting.matte_request import Choice

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 8
SMALL = ("--set", "matting.size=120", "--edge", "plain")
# As SAM 2's exporters name the ports: plainly, or with a word for each graph
NAMES = (("", "", "", ""), ("img_encoder_", "mem_atten_", "img_decoder_", "mem_encoder_"))


@pytest.fixture
def mattes() -> list[np.ndarray]:
    """Write c.mkv, a mask of its first frame, and a segmenter; return all true mattes."""
    frames, mattes = moving_thing(COUNT)
    clip_of(frames)
    write_mask("000.png", mattes[0])
    save_segmenter(Path("sam"))
    return mattes


def matte(capsys: Capsys, *flags: object) -> dict[str, Any]:
    return said_json(capsys, "matte", "c.mkv", *SMALL, *flags)


def made(name: str = "c.matte.mkv") -> list[np.ndarray]:
    return [frame[..., 0] for frame in decode(Path(name))[2]]


@pytest.mark.parametrize("prefixes", NAMES, ids=("plain", "prefixed"))
def test_a_painted_thing_is_followed(capsys: Capsys, mattes: list[np.ndarray], prefixes: tuple[str, ...]) -> None:
    save_segmenter(Path("sam"), prefixes)
    given = ("--frame", "0=000.png", "--segmenter", "sam")
    assert matte(capsys, *given, "--dry-run")["estimate"]["seconds"] >= 0
    table = matte(capsys, *given)
    assert (table["frames"], table["keyframes"], table["lost"]) == (COUNT, [0], [])
    assert min(overlap(a, b) for a, b in zip(made(), mattes, strict=True)) > 0.8
    assert matte(capsys, *given)["cached"]


def test_a_thing_is_chosen_by_a_point_or_a_box(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    rows, columns = np.nonzero(mattes[3])
    x, y = int(columns.mean()), int(rows.mean())
    matte(capsys, "--at", f"{x},{y}@3", "--segmenter", "sam/image_encoder.onnx")
    assert min(overlap(a, b) for n, (a, b) in enumerate(zip(made(), mattes, strict=True)) if n != 3) > 0.8
    assert 0.2 < overlap(made()[3], mattes[3]) < 0.5  # The disc at the point
    box = f"{x - 9},{y - 9},{x + 9},{y + 9}@3"
    assert matte(capsys, "--at", box, "--segmenter", "onnx:sam", "-o", "box.mkv")["keyframes"] == [3]
    assert all(overlap(a, b >= 128) > 0.99 for a, b in zip(made(), made("box.mkv"), strict=True))


def test_a_thing_that_left_is_lost_and_found_again(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    clip_of(moving_thing(COUNT, hidden=(3, 4))[0])
    table = matte(capsys, "--frame", "0=000.png", "--segmenter", "sam")
    assert table["lost"] == [[3, 4]]
    assert made()[3].max() < 128
    assert overlap(made()[6], mattes[6]) > 0.8


def test_an_interrupted_run_goes_on_exactly(
    capsys: Capsys, mattes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_mattes, "BLOCK_FRAMES", 2)
    given = ("--frame", "0=000.png", "--segmenter", "sam")
    matte(capsys, *given, "-o", "whole.mkv")
    blocks = sorted(Path(".vidtrans/matte").rglob("*.npz"))
    assert len(blocks) == 4
    for block in blocks[2:]:
        block.unlink()
    matte(capsys, *given, "-o", "again.mkv", "--overwrite")
    assert all(
        np.array_equal(a, b) for a, b in zip(decode(Path("whole.mkv"))[2], decode(Path("again.mkv"))[2], strict=True)
    )


def test_a_fixed_number_of_memories_is_filled(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    write_mask("001.png", mattes[1])
    for fixed in (1, 4):
        save_segmenter(Path("sam"), fixed=fixed)
        given = ("--frame", "0=000.png", "--frame", "1=001.png", "--segmenter", "sam")
        matte(capsys, *given, "-o", f"{fixed}.mkv")
        assert overlap(made(f"{fixed}.mkv")[-1], mattes[-1]) > 0.8


def test_other_networks_are_refused_in_one_line(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    given = ("matte", "c.mkv", *SMALL, "--frame", "0=000.png", "--segmenter")
    assert "did you mean 'sam'" in refuse(capsys, 3, *given, "./sma")
    assert "neither a folder nor a segmenter" in refuse(capsys, 2, *given, "edgetam")
    assert "the folder of the ONNX files is missing" in refuse(capsys, 2, *given, "onnx")
    shutil.copytree("sam", "two")
    shutil.copy("two/image_encoder.onnx", "two/other.onnx")
    assert "image_encoder.onnx and other.onnx are both the image encoder" in refuse(capsys, 3, *given, "two")
    Path("two/other.onnx").unlink()
    Path("two/memory_encoder.onnx").unlink()
    assert "no ONNX file in it is the memory encoder" in refuse(capsys, 3, *given, "two")
    save(Path("two/memory_encoder.onnx"), model([helper.make_node("Identity", ["x"], ["y"])]))
    text = refuse(capsys, 3, *given, "two")
    assert "memory_encoder.onnx is no memory encoder that is known: it lacks the input 'mask_for_mem'" in text
    assert "it also needs x" in text
    Path("two/memory_encoder.onnx").write_bytes(b"junk")
    assert "it is damaged" in refuse(capsys, 3, *given, "two")
    assert not Path("c.matte.mkv").exists()


def test_a_network_that_does_not_run_is_refused_before_anything_is_written(
    capsys: Capsys, mattes: list[np.ndarray]
) -> None:
    graph = save_segmenter(Path("sam")) / "memory_attention.onnx"
    broken = onnx.load(graph)
    next(one for one in broken.graph.initializer if one.name == "parts").CopyFrom(constant("parts", [3, 2], np.int64))
    save(graph, broken)
    text = refuse(capsys, 3, "matte", "c.mkv", *SMALL, "--frame", "0=000.png", "--segmenter", "sam")
    assert "sam: memory_attention.onnx: ONNX Runtime refuses it" in text
    assert not Path("c.matte.mkv").exists()


def test_what_does_not_fit_together_is_refused(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    given = ("matte", "c.mkv", *SMALL, "--segmenter", "sam")
    assert "choose it: --at X,Y@FRAME" in refuse(capsys, 2, *given)
    assert "each finds the thing by itself" in refuse(capsys, 2, *given, "--face")
    assert "the thing is painted already" in refuse(capsys, 2, *given, "--at", "9,9", "--frame", "0=000.png")
    assert "c.mkv is 160x120" in refuse(capsys, 2, *given, "--at", "400,9")
    assert "add --person, or --segmenter" in refuse(capsys, 2, "matte", "c.mkv", "--frame", "0=000.png", "--at", "9,9")
    assert "the box has no area" in refuse(capsys, 2, *given, "--at", "40,9,20,30")
    assert "a matte of 8 frames" in said(capsys, 0, *given, "--at", "60,60", "--dry-run")


def test_choices_are_points_and_boxes() -> None:
    assert Choice.parse("4,5").corners == ((4, 5),)
    assert Choice.parse("4,5,8,9.5@0.5s").corners == ((4, 5), (8, 9.5))
    Choice.parse("0,0,160,120").check_inside((160, 120), "c.mkv")  # all of it
    with pytest.raises(UsageError, match="is 160x120"):
        Choice.parse("160,0").check_inside((160, 120), "c.mkv")
    for text in ("", "4", "4,5,6", "a,b", "1,2,3,4,5"):
        with pytest.raises(UsageError, match="neither X,Y"):
            Choice.parse(text)
