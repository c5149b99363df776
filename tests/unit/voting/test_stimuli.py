"""What is shown of each condition: the same moment, at one size; what differs is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames, number_in, numbered, write_clip, write_folder

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Event, Note
from vidtrans.session import Context
from vidtrans.voting.stimuli import open_stimuli

SIZE = (96, 64)


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def context(notes: list[str]) -> Context:
    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    return Context(report=report)


def counting(num_frames: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return numbered(moving_frames(num_frames, size))


def test_clips_of_other_lengths_and_rates_are_matched_by_time(
    tmp_path: Path, context: Context, notes: list[str]
) -> None:
    long = write_clip(tmp_path / "long.mp4", counting(60))
    slow = write_clip(tmp_path / "slow.mp4", counting(12), rate=10)  # 1.2 s
    stimuli = open_stimuli([long, slow], 0.3, context)
    for item in range(len(stimuli.items)):
        first, second = ([number_in(frame) for frame in stimuli.show(n, item).frames] for n in (0, 1))
        assert [n // 3 for n in first] == second
        assert first[-1] < 36
    assert any("slow.mp4: it is the shortest: of all, the first 1.20 s" in note for note in notes)
    assert any("10 and 30 frames a second" in note for note in notes)


def test_stills_are_single_frames(tmp_path: Path, context: Context) -> None:
    clips = [write_clip(tmp_path / f"{name}.mp4", counting(10)) for name in "ab"]
    stimuli = open_stimuli(clips, 0.0, context)
    assert (len(stimuli.items), stimuli.is_motion) == (10, False)
    assert [number_in(stimuli.show(1, n).frames[0]) for n in range(10)] == list(range(10))
    assert stimuli.show(0, 3).files()[0].startswith(b"\x89PNG")


def test_pictures_are_matched_by_name_else_by_order(tmp_path: Path, context: Context, notes: list[str]) -> None:
    frames = counting(4)
    a = write_folder(tmp_path / "a", frames)
    b = write_folder(tmp_path / "b", frames[1:], ["1.png", "2.png", "3.png"])
    stimuli = open_stimuli([a, b], 0.0, context)
    assert stimuli.items == ("1", "2", "3")
    assert number_in(stimuli.show(0, 0).frames[0]) == number_in(stimuli.show(1, 0).frames[0]) == 1
    assert "only the 3 pictures that all conditions have: 1 unused" in notes
    other = write_folder(tmp_path / "c", frames, [f"x{n}.png" for n in range(4)])
    assert number_in(open_stimuli([a, other], 0.0, context).show(1, 2).frames[0]) == 2
    with pytest.raises(UsageError, match="no name in common"):
        open_stimuli([b, other], 0.0, context)


def test_all_are_shown_at_the_size_of_the_smallest(tmp_path: Path, context: Context, notes: list[str]) -> None:
    a = write_folder(tmp_path / "a", counting(2, (96, 64)))
    b = write_folder(tmp_path / "b", counting(2, (192, 128)))
    square = write_folder(tmp_path / "c", [np.full((80, 80, 3), 200, np.uint8)] * 2)
    stimuli = open_stimuli([a, b, square], 0.0, context)
    assert {stimuli.show(n, 0).frames[0].shape for n in range(3)} == {(64, 96, 3)}
    third = stimuli.show(2, 0).frames[0]
    assert abs(int(third[32, 48, 0]) - 200) < 3
    assert third[32, 2, 0] != 200  # a bar
    stimuli.warn_about_sizes(["a", "b", "c"], context)
    assert any("a 96x64, b 192x128, c 80x80: all are shown at 96x64, with bars" in note for note in notes)


def test_counterparts_are_the_frames_of_the_reference(tmp_path: Path, context: Context) -> None:
    clips = [write_clip(tmp_path / f"{name}.mp4", counting(30)) for name in "abr"]
    stimuli = open_stimuli(clips[:2], 0.2, context)
    wanted = stimuli.counterparts(clips[2], context)
    for item in range(len(stimuli.items)):
        [shown] = stimuli.show(0, item, only_middle=True).frames
        assert number_in(wanted(item)) == number_in(shown)
    folder = write_folder(tmp_path / "f", counting(3))
    pictures = open_stimuli([folder, folder], 0.0, context)
    assert number_in(pictures.counterparts(folder, context)(2)) == 2
    with pytest.raises(UsageError, match="not those of the conditions"):
        pictures.counterparts(write_folder(tmp_path / "g", counting(2), ["x.png", "y.png"]), context)
