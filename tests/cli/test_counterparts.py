"""Pictures and clips that belong together: by name, by number, one for each; what is missing is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import moving_frames, pictures_of, write_clip, write_folder

from vidtrans.clips.indexing import open_clip
from vidtrans.evaluation.scoring import find_guide
from vidtrans.matting.matte_job import painted_paths_of
from vidtrans.matting.matte_request import parse_frame
from vidtrans.painting.key_frames import named_frames
from vidtrans.session import Context

Capsys = pytest.CaptureFixture[str]
COUNT = 12
WORDS = ["ash", "birch", "cedar", "elm", "fir", "larch", "maple", "oak", "pine", "rowan", "willow", "yew"]


def put(folder: str, numbers: list[int], form: str = "", inverted: bool = False) -> None:
    """Frames of these numbers as pictures, with words as names unless there is a form."""
    frames = moving_frames(COUNT)
    names = [form.format(n) if form else f"{WORDS[n]}.png" for n in numbers]
    write_folder(Path(folder), [255 - frames[n] if inverted else frames[n] for n in numbers], names)


def but(*gone: int) -> list[int]:
    return [n for n in range(COUNT) if n not in gone]


@pytest.mark.parametrize("forms", [("", ""), ("a_{:04}.png", "paint_v2_{}.png")])
def test_a_target_goes_with_its_frame_and_frames_without_are_left_out(forms: tuple[str, str], capsys: Capsys) -> None:
    put("a", but(8), forms[0])
    put("b", but(4, 5), forms[1], inverted=True)
    command = ("make-dataset", "a", "--pairing", "aligned", "--target", "b", "--size", "source", "-o", "d")
    told = said(capsys, 0, *command)
    name = (forms[0] or "fir.png").format(4), (forms[0] or "larch.png").format(5)
    assert f"none in it for frames {name[0]} to {name[1]}: left out" in told
    assert "2 without a counterpart left out" in told
    inputs, targets = (pictures_of(Path(f"d/{side}")) for side in ("a", "a.target"))
    assert len(inputs) == 9
    assert all(np.array_equal(inputs[name], 255 - targets[name]) for name in inputs)


def test_pair_folders_are_paired_by_number_too_and_what_is_alone_is_named(capsys: Capsys) -> None:
    put("p/A", but(8), "frame{}.png")
    put("p/B", but(4, 5), "label_{:03}.png", inverted=True)
    told = said(capsys, 0, "make-dataset", "p", "--pairing", "aligned", "--size", "source", "-o", "d")
    alone = "A/frame4.png, A/frame5.png, B/label_008.png"
    assert f"p: 3 of its pictures have no counterpart and are left out ({alone})" in told
    inputs, targets = (pictures_of(Path(f"d/{side}")) for side in ("p", "p.target"))
    assert len(inputs) == 9
    assert all(np.array_equal(inputs[name], 255 - targets[name]) for name in inputs)


def test_two_pictures_of_one_name_and_none_that_belongs_are_refused(capsys: Capsys) -> None:
    put("a", but())
    put("b", but())
    put("c", [9], "{}.png")
    put("d", [0, 1, 2], "{}.png")
    (Path("b") / "oak.bmp").write_bytes(Path("a/oak.png").read_bytes())
    for source, target, says in (
        ("a", "b", "b: two of its pictures are named 'oak'"),
        ("b", "a", "b: two of its pictures are named 'oak'"),
        ("d", "c", "none of its pictures belongs to a frame of d"),
    ):
        command = ("make-dataset", source, "--pairing", "aligned", "--target", target, "-o", "o")
        assert says in refuse(capsys, 3, *command)


def test_where_its_source_has_no_frame_a_clip_guides_itself() -> None:
    put("p", but(), "{:04}.png")
    put("s", but(4, 5), "s_{}.png")
    context = Context()
    clip, guide = find_guide(open_clip(context, Path("p")), Path("s"), "auto", None, context)
    assert guide.steps == (0, 1, 2, 3, None, None, 4, 5, 6, 7, 8, 9)
    assert set(clip.shots) >= {0, 4, 6}


def test_the_counterpart_of_one_clip_is_found_in_a_folder_of_clips(capsys: Capsys) -> None:
    Path("clips").mkdir()
    for path in ("clips/in.mkv", "clips/other.mkv", "in.x.mkv"):
        write_clip(Path(path), moving_frames(3), codec="ffv1", pix_fmt="bgr0")
    assert said_json(capsys, "evaluate", "in.x.mkv", "--source", "clips", "--reference", "clips")["psnr"] == 99
    assert said_json(capsys, "deflicker", "in.x.mkv", "--source", "clips", "--dry-run")["frames"] == 3
    command = ("make-dataset", "in.x.mkv", "--pairing", "aligned", "--target", "clips", "--dry-run")
    assert said_json(capsys, *command)["frames"] == 3
    Path("in.x.mkv").rename("none.mkv")
    assert "no clip with a matching name for --source" in refuse(capsys, 2, "evaluate", "none.mkv", "--source", "clips")


def test_pictures_numbered_from_below_zero_keep_their_order_and_their_counterparts(capsys: Capsys) -> None:
    numbers = range(-3, 9)
    put("a", [*numbers], "a.{:05}.png")  # -3 as -0003, as Blender does
    put("b", [n for n in numbers if n != -1], "paint_{:04}.png", inverted=True)  # as -003, as printf does
    told = said(capsys, 0, "make-dataset", "a", "--pairing", "aligned", "--target", "b", "--size", "source", "-o", "d")
    assert "none in it for frame a.-0001.png: left out" in told
    inputs, targets = (pictures_of(Path(f"d/{side}")) for side in ("a", "a.target"))
    assert all(np.array_equal(inputs[name], 255 - targets[name]) for name in inputs)
    assert np.array_equal(inputs["000000.png"], moving_frames(COUNT)[-3])
    clip, files = open_clip(Context(), Path("a")), [Path("b/paint_-003.png"), Path("b/paint_0002.png")]
    assert named_frames(files, clip) == {files[0]: 0, files[1]: 5}
    assert painted_paths_of([parse_frame("-2=b/paint_-002.png")], files, clip, None) == {
        0: files[0],
        1: Path("b/paint_-002.png"),
        5: files[1],
    }
    line = refuse(capsys, 2, "matte", "a", "--frame", "-9=b/paint_-002.png", "-o", "m.mkv")
    assert "a has no such picture" in line
