"""``vidtrans deflicker``: the flicker taken out of what any tool has made of a video."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames, pictures_of, sound_packets, times, write_folder
from directed_clip import lossless
from flicker import Frames, alike, drifting, flickering, look, rms, unsteadiness

Capsys = pytest.CaptureFixture[str]
COUNT = 24
LOSSLESS = ("--codec", "ffv1")
QUICK = "--set=temporal.radius=3"  # where it is not asked how steady a result is
SOURCE = drifting(COUNT, 1, grain=True)
LOOKS = [look(f) for f in SOURCE]
FLICKERS = flickering(LOOKS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    lossless(folder / "s.mp4", SOURCE)
    lossless(folder / "p.mp4", FLICKERS)
    return folder


@pytest.fixture(autouse=True)
def clips(written: Path, tmp_path: Path) -> None:
    """``s.mp4``, a source, and ``p.mp4``, what flickers of it."""
    for name in ("s.mp4", "p.mp4"):
        shutil.copy(written / name, name)


def deflicker_with_warnings(capsys: Capsys, processed: str, *flags: object) -> tuple[Frames, list[str]]:
    text = said(capsys, 0, "deflicker", processed, "-o", "o.mkv", "--overwrite", *LOSSLESS, *flags)
    return decode(Path("o.mkv"))[2], [line for line in text.splitlines() if line.startswith("warning: ")]


def deflicker(capsys: Capsys, processed: str, *flags: object) -> Frames:
    return deflicker_with_warnings(capsys, processed, *flags)[0]


@pytest.mark.parametrize("method", ["window", pytest.param("causal", marks=pytest.mark.thorough)])
def test_a_clip_that_flickers_becomes_steadier_and_nearer_to_one_that_does_not(method: str, capsys: Capsys) -> None:
    made = deflicker(capsys, "p.mp4", "--source", "s.mp4", "--temporal", method)
    assert unsteadiness(made[8:], LOOKS[8:]) < 0.3 * unsteadiness(FLICKERS[8:], LOOKS[8:])
    assert rms(made[8:], LOOKS[8:]) < 0.5 * rms(FLICKERS[8:], LOOKS[8:])


def test_without_a_source_a_clip_guides_itself_and_what_is_lost_is_said(capsys: Capsys) -> None:
    lossless(Path("mild.mp4"), flickering(LOOKS, 6))
    flags = ("--set=temporal.keep_source_changes=0", "--set=temporal.radius=7")
    made = deflicker(capsys, "mild.mp4", *flags)
    assert unsteadiness(made, LOOKS) < 0.6 * unsteadiness(decode(Path("mild.mp4"))[2], LOOKS)
    assert alike(made, deflicker(capsys, "mild.mp4", "--source", "mild.mp4", *flags))
    lost, before = "without --source p.mp4 guides itself: ", snapshot(Path())
    told = said(capsys, 0, "deflicker", "p.mp4", "--dry-run")
    assert lost in told
    assert "would render p.deflickered.mp4: 24 frames" in told
    assert lost not in said(capsys, 0, "deflicker", "p.mp4", "--source", "s.mp4", "--dry-run")
    assert snapshot(Path()) == before


def test_off_and_no_strength_give_back_every_pixel_of_the_part(capsys: Capsys) -> None:
    assert alike(deflicker(capsys, "p.mp4", "--temporal", "off", "--start", 4, "--end", "0.3s"), FLICKERS[4:9])
    assert alike(deflicker(capsys, "p.mp4", "--source", "s.mp4", "--set=temporal.strength=0", QUICK), FLICKERS)
    lossless(Path("part.mp4"), FLICKERS[8:])  # of which the end is a time in the source
    flags = ("--source", "s.mp4", "--start", "8", "--temporal", "off")
    assert alike(deflicker(capsys, "part.mp4", *flags, "--end", "20"), FLICKERS[8:20])
    assert alike(deflicker(capsys, "part.mp4", *flags, "--end", "90"), FLICKERS[8:])
    line = refuse(capsys, 2, "deflicker", "part.mp4", *flags, "--end", "8")
    assert "--end 8: the clip begins there in s.mp4, or later" in line


def test_the_result_lies_beside_with_the_same_frames_and_is_known_again(capsys: Capsys) -> None:
    line = said(capsys, 0, "deflicker", "p.mp4", "--source", "s.mp4")
    assert line.startswith("p.deflickered.mp4: 24 frames")
    assert times(Path("p.deflickered.mp4")) == times(Path("p.mp4"))
    again = said_json(capsys, "deflicker", "p.mp4", "--source", "s.mp4")
    assert again["cached"]
    assert again["frames"] == COUNT
    for other in ((), ("--source", "s.mp4", "--temporal", "causal")):
        assert "made with other inputs or options" in refuse(capsys, 2, "deflicker", "p.mp4", *other)


def test_the_sources_cuts_count_and_not_those_that_flicker_makes(capsys: Capsys) -> None:
    frames = moving_frames(COUNT, shots=(0, 14))
    lossless(Path("cut.mp4"), frames)
    # Longer than a flash, after which the picture before it would go on.
    violent = [np.full_like(f, 30 + 190 * (i % 2)) if 5 <= i < 11 else look(f) for i, f in enumerate(frames)]
    lossless(Path("violent.mp4"), violent)
    flags = ("deflicker", "violent.mp4", "--dry-run")
    assert said_json(capsys, *flags, "--source", "cut.mp4")["shots"] == 2
    assert said_json(capsys, *flags)["shots"] > 2


@pytest.mark.thorough
def test_a_source_of_another_size_is_fitted(capsys: Capsys) -> None:
    for name, size in (("half.mp4", (32, 24)), ("wide.mp4", (96, 48))):
        lossless(Path(name), [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in SOURCE])
    made, warnings = deflicker_with_warnings(capsys, "p.mp4", "--source", "half.mp4", QUICK)
    assert (made[0].shape, warnings) == ((48, 64, 3), [])
    assert unsteadiness(made, LOOKS) < 0.5 * unsteadiness(FLICKERS, LOOKS)
    _, (line,) = deflicker_with_warnings(capsys, "p.mp4", "--source", "wide.mp4", QUICK)
    assert line == "warning: wide.mp4: it is 96x48 and p.mp4 64x48: stretched"


@pytest.mark.thorough
def test_a_longer_source_begins_where_start_says(capsys: Capsys) -> None:
    lossless(Path("part.mp4"), FLICKERS[8:20])
    lossless(Path("fit.mp4"), SOURCE[8:20])
    lossless(Path("early.mp4"), SOURCE[:12])
    fit = deflicker(capsys, "part.mp4", "--source", "fit.mp4", QUICK)
    made, warnings = deflicker_with_warnings(capsys, "part.mp4", "--source", "s.mp4", "--start", "00:00:00.26", QUICK)
    assert (alike(made, fit), warnings) == (True, [])
    _, (line,) = deflicker_with_warnings(capsys, "early.mp4", "--source", "s.mp4", QUICK)
    assert line.startswith("warning: s.mp4: it goes on for 12 frames after early.mp4 ends; ")
    assert "--start" in line
    _, lines = deflicker_with_warnings(capsys, "part.mp4", "--source", "s.mp4", QUICK)
    assert lines[0].startswith("warning: --source s.mp4: part.mp4 hardly shows the same (edges and tones agree by ")


def test_exposure_is_evened_out_without_a_source(capsys: Capsys) -> None:
    made = deflicker(capsys, "p.mp4", "--exposure", "--temporal", "off")
    brightness = [np.diff([f.mean() for f in frames], 2) for frames in (made, FLICKERS)]
    assert np.abs(brightness[0]).mean() < 0.05 * np.abs(brightness[1]).mean()


def test_where_a_source_ends_is_known_though_times_are_rounded(capsys: Capsys) -> None:
    """Matroska counts milliseconds: the frame after a source's last one may be due a third of one too early."""
    lossless(Path("short.mp4"), SOURCE[:15])
    lossless(Path("rounded.mkv"), FLICKERS[:16])
    _, lines = deflicker_with_warnings(capsys, "rounded.mkv", "--source", "short.mp4", QUICK)
    assert lines[-1] == "warning: short.mp4: it ends before rounded.mkv, which guides itself from frame 15 on"


def test_a_source_that_cannot_be_one_is_refused(capsys: Capsys) -> None:
    """A still, a clip that ends early, another film; inverted and poorly lit renders of the source are taken."""
    write_folder(Path("still"), SOURCE[:1])
    lossless(Path("short.mp4"), SOURCE[:11])
    lossless(Path("other.mp4"), moving_frames(COUNT))
    for source, why in (
        ("still/0.png", "it has 1 frame, p.mp4 24"),
        ("short.mp4", "it has 11 frames, p.mp4 24"),
        ("other.mp4", "p.mp4 shows something else at the same moments"),
    ):
        error = refuse(capsys, 2, "deflicker", "p.mp4", "--source", source)
        assert why in error
        assert "give the video that p.mp4 was made from" in error
        assert not list(Path().glob("p.deflickered*"))
    for render in ([255 - f for f in FLICKERS], [f // 8 for f in FLICKERS]):
        lossless(Path("changed.mp4"), render)
        assert deflicker_with_warnings(capsys, "changed.mp4", "--source", "s.mp4", QUICK)[1] == []


def playable(capsys: Capsys, processed: str, *flags: object) -> Path:
    said(capsys, 0, "deflicker", processed, "-o", "o.mp4", "--overwrite", QUICK, *flags)
    return Path("o.mp4")


def test_a_clip_keeps_its_own_sound_or_has_its_sources(capsys: Capsys) -> None:
    for name, frames in (("source.mp4", SOURCE), ("loud.mp4", FLICKERS[:12])):
        lossless(Path(name), frames, sound=True)
    for name, wanted in (("loud.mp4", "loud.mp4"), ("p.mp4", "source.mp4")):
        heard = sound_packets(playable(capsys, name, "--source", "source.mp4"))
        assert heard == sound_packets(Path(wanted)) != []
    assert sound_packets(playable(capsys, "p.mp4", "--source", "source.mp4", "--set=encoding.sound=none")) == []


@pytest.mark.thorough
def test_sound_of_a_longer_source_is_in_step_and_begins_and_ends_with_the_pictures(capsys: Capsys) -> None:
    """A result of frames 30 … 53 of a source with sound; when it begins, by its own times."""
    begins = 7
    lossless(Path("long.mp4"), SOURCE[-6:] + SOURCE * 4, sound=True)
    lossless(Path("part.mp4"), FLICKERS, pts=[512 * (begins + i) for i in range(COUNT)])
    made = playable(capsys, "part.mp4", "--source", "long.mp4", "--start", "30")
    assert times(made) == times(Path("part.mp4"))
    first, packet = Fraction(begins, 30), Fraction(1024, 44100)
    own = {content: time for time, content in sound_packets(Path("long.mp4"))}
    heard = sound_packets(made)
    assert all(abs(time - (own[content] - 1 + first)) < Fraction(1, 1000) for time, content in heard)
    assert first - 2 * packet <= heard[0][0] <= first + packet
    assert abs(heard[-1][0] + packet - (first + Fraction(COUNT, 30))) <= 2 * packet


def test_folders_of_pictures_keep_their_names(capsys: Capsys) -> None:
    write_folder(Path("frames"), FLICKERS, [f"shot-{i:03d}.png" for i in range(COUNT)])
    write_folder(Path("plain"), SOURCE)
    said(capsys, 0, "deflicker", "frames", "--source", "s.mp4", QUICK)
    made = pictures_of(Path("frames.deflickered"))
    assert list(made) == [f"shot-{i:03d}.png" for i in range(COUNT)]
    assert alike(deflicker(capsys, "p.mp4", "--source", "plain", QUICK), list(made.values()))


def test_transparency_and_16_bits_are_kept(capsys: Capsys) -> None:
    alpha = np.zeros((48, 64), np.uint16)
    alpha[:, 20:] = 65535
    Path("deep").mkdir()
    for i, frame in enumerate(FLICKERS[:8]):
        deep = np.dstack([frame[..., ::-1].astype(np.uint16) * 256 + i, alpha])
        cv2.imwrite(f"deep/{i}.png", deep)
    lossless(Path("s8.mp4"), SOURCE[:8])
    said(capsys, 0, "deflicker", "deep", "--source", "s8.mp4")
    for i in range(8):
        made: Any = cv2.imread(f"deep.deflickered/{i}.png", cv2.IMREAD_UNCHANGED)
        assert (made.shape, made.dtype) == ((48, 64, 4), np.dtype(np.uint16))
        assert np.array_equal(made[..., 3], alpha)
        assert len(np.unique(made[:, 24:, :3] % 256)) > 100


# What is refused

BAD: list[tuple[int, tuple[object, ...], str]] = [
    (3, ("p.mp4", "--source", "gone.mp4"), "no such file"),
    (3, ("text.mp4", "--source", "s.mp4"), "text.mp4"),
    (3, ("empty", "--source", "s.mp4"), "empty"),
    (2, ("one/0.png",), "one picture cannot flicker"),
    (2, ("sizes",), "its pictures are not of one size"),
    (2, ("p.mp4", "--start", "30"), "no frames of p.mp4 lie between"),
    (2, ("part.mp4", "--source", "s.mp4", "--start", "99"), "--start 99"),
    (2, ("p.mp4", "-o", "p.mp4"), "p.mp4"),
    (2, ("p.mp4", "--source", "s.mp4", "-o", "s.mp4"), "s.mp4"),
    (2, ("p.mp4", "-o", "one"), "one"),
    (2, ("p.mp4", "-o", "o.png"), "one picture cannot hold 24 frames — use --codec png -o o"),
    (2, ("p.mp4", "--source", "s.mp4", "-o", "o.exr"), "use --codec exr -o o"),
    (2, ("p.mp4", "--set=rendering.size=32"), "rendering.size: 'deflicker' does not read it — leave it out"),
    (2, ("wide",), "33000x8: flicker is filtered up to 32766 pixels a side"),
    (2, ("p.mp4", "--exposure", "--source", "s.mp4"), "leave out one"),
]


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(capsys: Capsys) -> None:
    write_folder(Path("one"), SOURCE[:1])
    write_folder(Path("sizes"), [SOURCE[0], SOURCE[1][:40]])
    write_folder(Path("wide"), [np.zeros((8, 33_000, 3), np.uint8)] * 2)
    Path("empty").mkdir()
    Path("text.mp4").write_text("no video")
    lossless(Path("part.mp4"), FLICKERS[:9])
    for status, arguments, why in BAD:
        assert why in refuse(capsys, status, "deflicker", *arguments), arguments


def test_what_a_result_is_made_with_is_known_again(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("deflicker", "p.mp4", "--source", "s.mp4", "--filter", "hflip", "-o", "o.mkv", *LOSSLESS, QUICK)
    assert not said_json(capsys, *flags)["cached"]
    assert said_json(capsys, *flags)["cached"]
    for place, other in (
        ("vidtrans.video.ffmpeg.program_version", lambda program: "another"),
        ("vidtrans.pipeline.blend.Blend.version", -1),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, other)
            assert "made with other inputs or options" in refuse(capsys, 2, *flags)
    assert said_json(capsys, *flags)["cached"]
