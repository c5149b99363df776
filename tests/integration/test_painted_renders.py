"""Renders in strokes: the same pictures for any chunks, parts, interruptions and starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import made_models
import numpy as np
import pytest
from chain import refuse, said_json, vidtrans
from clips import decode, moving_frames
from directed_clip import Frames, lossless, same

import vidtrans as api
from vidtrans.rendering import planned_strokes
from vidtrans.strokes.media import load_medium
from vidtrans.strokes.medium import Medium
from vidtrans.strokes.painter import StrokePainter

Patch = pytest.MonkeyPatch

FRAMES, SHOT = 28, 12  # chunks of 5 begin at 0, 5, 10 | 12, 17, 22, 27
MEDIUM = "oil"
PAINT = ("--model", "identity", "--strokes", MEDIUM, "--codec", "ffv1")
FIVE = "--set=rendering.chunk_frames=5"
TEMPORAL = ("off", "causal")
pytestmark = pytest.mark.usefixtures("in_turns")
Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lossless(tmp_path_factory.mktemp("clip") / "s.mkv", moving_frames(FRAMES, shots=(0, SHOT)))


@pytest.fixture(scope="module")
def whole(clip: Path) -> dict[str, bytes]:
    """The bytes of an uninterrupted render with each temporal filter."""
    made = {}
    for name in TEMPORAL:
        output = clip.with_name(f"{name}.mkv")
        vidtrans(
            "stylize", clip, *PAINT, FIVE, "--temporal", name, "-o", output, "--cache-dir", clip.with_name("cache")
        )
        made[name] = output.read_bytes()
    return made


def stylize(clip: Path, output: str = "o.mkv", temporal: str = "off", **options: Any) -> dict[str, Any]:
    tables = {"rendering": {"chunk_frames": 5}, "encoding": {"codec": "ffv1"}, "temporal": {"name": temporal}}
    made = api.stylize(clip, "identity", output, strokes=MEDIUM, settings=tables, **options)
    return dict(made)


def frames_of(path: Path | str) -> Frames:
    return decode(Path(path))[2]


def painted_frames(monkeypatch: Patch) -> list[tuple[int, bool]]:
    """The number of each frame that a painter paints from now on, and whether it starts a shot."""
    seen: list[tuple[int, bool]] = []
    begin = StrokePainter.begin

    def noted(self: StrokePainter, index: int, *pictures: Any, **options: Any) -> np.ndarray:
        seen.append((index, options["starts_shot"]))
        return begin(self, index, *pictures, **options)

    monkeypatch.setattr(StrokePainter, "begin", noted)
    return seen


def test_the_length_of_chunks_changes_no_picture(clip: Path, whole: dict[str, bytes], capsys: Capsys) -> None:
    table = said_json(capsys, "stylize", clip, *PAINT, "-o", "o.mkv")
    assert (table["strokes"], table["temporal"], table["chunks"]) == (MEDIUM, "off", 2)
    Path("five.mkv").write_bytes(whole["off"])
    assert same(frames_of("o.mkv"), frames_of("five.mkv"))
    assert not same(frames_of("o.mkv"), frames_of(clip))


def test_parts_are_joined_to_the_bytes_of_a_whole_render(clip: Path, whole: dict[str, bytes]) -> None:
    render = ("stylize", clip, *PAINT, FIVE, "--temporal", "causal", "-o", "o.mkv")
    for options in (("--chunk", "2/2"), ("--chunk", "1/2", "--join")):
        vidtrans(*render, *options)
    assert Path("o.mkv").read_bytes() == whole["causal"]


@pytest.mark.parametrize("temporal", TEMPORAL)
def test_a_stopped_render_goes_on_from_its_state(
    clip: Path, whole: dict[str, bytes], temporal: str, stopped: Callable[..., Any], monkeypatch: Patch
) -> None:
    stopped(stylize, "rendering", 8, clip, temporal=temporal)
    assert [path.name for path in Path(".vidtrans").glob("render/*/state-*.npz")] == ["state-000000.npz"]
    seen = painted_frames(monkeypatch)
    stylize(clip, temporal=temporal)
    assert Path("o.mkv").read_bytes() == whole[temporal]
    assert seen == [(index, index == SHOT) for index in range(5, FRAMES)]


def test_a_damaged_chunk_is_painted_again_from_its_shots_start(
    clip: Path, whole: dict[str, bytes], monkeypatch: Patch
) -> None:
    stylize(clip)
    Path("o.mkv").unlink()
    (chunk,) = Path(".vidtrans").glob("render/*/chunk-000004.nut")
    chunk.write_bytes(chunk.read_bytes()[:-9])
    seen = painted_frames(monkeypatch)
    assert stylize(clip)["frames_encoded"] == 5
    assert [index for index, _ in seen] == list(range(SHOT, 22))
    assert Path("o.mkv").read_bytes() == whole["off"]


def test_a_start_within_a_shot_gives_the_pictures_of_the_whole(
    clip: Path, whole: dict[str, bytes], capsys: Capsys
) -> None:
    Path("whole.mkv").write_bytes(whole["causal"])
    render = ("stylize", clip, *PAINT, FIVE, "--temporal", "causal", "--start", "15", "-o", "o.mkv")
    assert said_json(capsys, *render, "--dry-run")["frames"] == FRAMES - 15
    table = stylize(clip, "o.mkv", "causal", start="15")
    assert (table["frames"], table["frames_encoded"], table["source_part"]) == (FRAMES - 15,) * 2 + ([15, FRAMES],)
    assert same(frames_of("o.mkv"), frames_of("whole.mkv")[15:])


def test_strokes_without_a_model_paint_the_clip_itself(clip: Path, whole: dict[str, bytes], capsys: Capsys) -> None:
    render = ("stylize", clip, "--strokes", MEDIUM, "--codec", "ffv1", FIVE)
    assert said_json(capsys, *render)["output"] == "s.oil.mkv"
    assert Path("s.oil.mkv").read_bytes() == whole["off"]
    made_models.make_model("m.safetensors", "colorize")
    assert said_json(capsys, *render, "--model", "m", "--dry-run")["output"] == "s.m+oil.mkv"


def test_a_painter_sees_no_more_than_400_lines(clip: Path, tmp_path: Path, capsys: Capsys) -> None:
    large = lossless(tmp_path / "large.mkv", moving_frames(1, (560, 448)))
    for source, size, working_size in ((large, [560, 448], [500, 400]), (clip, [64, 48], [64, 48])):
        table = said_json(capsys, "stylize", source, *PAINT, "--dry-run")
        assert (table["size"], table["working_size"]) == (size, working_size)


def test_strokes_are_blended_with_the_source_as_any_picture(clip: Path, whole: dict[str, bytes]) -> None:
    Path("whole.mkv").write_bytes(whole["off"])
    source, painted = frames_of(clip), frames_of("whole.mkv")
    half = np.zeros((48, 64), np.uint8)
    half[:, 32:] = 255
    cv2.imwrite("half.png", half)
    vidtrans("stylize", clip, *PAINT, "--mask", "half.png", "-o", "masked.mkv")
    for masked, plain, frame in zip(frames_of("masked.mkv"), painted, source, strict=True):
        assert np.array_equal(masked[:, :32], frame[:, :32])
        assert np.array_equal(masked[:, 32:], plain[:, 32:])
    options = ("--mask", "right=half.png", "--strokes", MEDIUM, "--codec", "ffv1", FIVE, "-o", "region.mkv")
    vidtrans("stylize", clip, "--region", "right=identity", *options, "--start", "15")
    assert same(frames_of("region.mkv"), frames_of("masked.mkv")[15:])
    vidtrans("stylize", clip, *PAINT, "--mix", "0.5", "-o", "mixed.mkv")
    means = [np.rint((a.astype(float) + b) / 2) for a, b in zip(painted, source, strict=True)]
    assert same(frames_of("mixed.mkv"), means, within=1)


def key_of(capsys: Capsys, clip: Path, *options: object) -> str:
    """The name of the entry of encoded chunks of a render."""
    cache = Path("cache")
    before = set(cache.glob("render/*"))
    vidtrans("stylize", clip, *PAINT, "--end", "1", "--cache-dir", cache, "-o", "k.mkv", "--overwrite", *options)
    (made,) = set(cache.glob("render/*")) - before
    return made.name


def test_the_key_has_all_that_strokes_are_made_of(clip: Path, capsys: Capsys, monkeypatch: Patch) -> None:
    """Each render makes an entry of its own, or ``key_of`` fails."""
    key_of(capsys, clip)
    key_of(capsys, clip, "--set", "strokes.size=1 + 0.5*sin(frame)")
    key_of(capsys, clip, "--set", "strokes.on=2")
    pictures = moving_frames(3, (32, 24), shots=(0, 1, 2))
    for number in (0, 1):
        cv2.imwrite("p.png", pictures[number])
        key_of(capsys, clip, "--palette", "p.png")
        key_of(capsys, clip, "--set", "strokes.fine=p.png")
        key_of(capsys, clip, "--set", "strokes.directions=p.png")
    key_of(capsys, clip, "--set", "strokes.fine=not:p.png")

    def other(name: str, folder: Path = Path()) -> Medium:
        return replace(load_medium(name, folder), digest="other")

    monkeypatch.setattr(planned_strokes, "load_medium", other)
    key_of(capsys, clip)


def test_mistakes_are_found_before_anything_is_written(clip: Path, capsys: Capsys) -> None:
    cv2.imwrite("plain.png", np.full((8, 8, 3), 90, np.uint8))
    oil = ("--strokes", MEDIUM)
    for options, status, words in (
        (("--strokes", "oyl"), 2, "oil"),
        (("--palette", "p.png"), 2, "--strokes"),
        ((*oil, "--set", "strokes.size=9"), 2, "strokes.size 9"),
        ((*oil, "--strokes-directions", "none.png"), 3, "none.png"),
        ((*oil, "--palette", "none.png"), 3, "none.png"),
        ((*oil, "--palette", "plain.png"), 2, "one colour"),
    ):
        assert words in refuse(capsys, status, "stylize", clip, "--model", "identity", "-o", "o.mkv", *options)
    assert not list(Path().rglob("chunk-*"))
