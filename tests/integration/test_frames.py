"""Frames in, frames out, as another program uses vidtrans: clips, models, filters and written results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from clips import moving_frames, write_clip
from made_models import make_model
from paintings import clip_and_keys, painted

import vidtrans
from vidtrans.core.errors import MediaError, ModelError, UsageError

SIZE = (64, 48)


def exact_clip(count: int = 12, shots: tuple[int, ...] = (0,), name: str = "c.mkv") -> list[np.ndarray]:
    frames = moving_frames(count, SIZE, shots)
    write_clip(Path(name), frames, codec="ffv1", pix_fmt="bgr0")
    return frames


def read_folder(folder: str) -> list[np.ndarray]:
    return [cv2.imread(str(path))[..., ::-1] for path in sorted(Path(folder).glob("*.png"))]


def equal(some: Any, others: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


# Clips


def test_a_clip_is_a_sequence_of_frames_with_times() -> None:
    frames = exact_clip(12, (0, 7))
    with vidtrans.open_clip("c.mkv") as clip:
        assert (len(clip), clip.size, clip.fps, clip.shots) == (12, SIZE, 30, (0, 7))
        assert equal((f.rgb for f in clip), frames)
        assert equal((clip[n].rgb for n in (5, 0, 11, -1)), (frames[n] for n in (5, 0, 11, -1)))
        assert [f.index for f in clip] == list(range(12))
        assert np.array_equal(np.asarray(clip[3]), frames[3])
        assert abs(float(clip.times[3]) - 0.1) < 2e-3
        assert clip.at("0.1s").index == clip.at(clip.times[3]).index == 3
        assert len(clip.times) == 12
        with pytest.raises(IndexError):
            clip[12]


def test_a_part_is_a_clip() -> None:
    frames = exact_clip(12, (0, 7))
    part = vidtrans.open_clip("c.mkv")[4:10]
    assert (len(part), part.shots, part[0].index) == (6, (0, 3), 0)
    assert equal((f.rgb for f in part), frames[4:10])
    assert equal((f.rgb for f in part[1:3]), frames[5:7])
    assert equal((f.rgb for f in vidtrans.open_clip("c.mkv", start="4", end="10")), frames[4:10])
    for wrong in (slice(3, 3), slice(0, 6, 2)):
        with pytest.raises(IndexError):
            part[wrong]
    with pytest.raises(UsageError):
        vidtrans.open_clip("c.mkv", start="40")
    with pytest.raises(MediaError):
        vidtrans.open_clip("nothing.mkv")


def test_chosen_frames_of_a_clip_are_read_in_order_and_scaled() -> None:
    frames = exact_clip(60)
    clip = vidtrans.open_clip("c.mkv")
    part = clip[20:]
    assert equal((f.rgb for f in part.read([0, 3, 39])), (frames[n] for n in (20, 23, 59)))
    assert [f.index for f in part.read([0, 39])] == [0, 39]
    assert {f.rgb.shape for f in clip.read(size=(32, 24))} == {(24, 32, 3)}
    assert list(clip.read([])) == []
    assert (clip.spread(3), part.spread(2), clip[:2].spread(5)) == ([10, 30, 50], [10, 30], [0, 1])
    with pytest.raises(UsageError, match="increase"):
        list(clip.read([3, 3]))
    with pytest.raises(IndexError):
        list(part.read([40]))


def test_frames_of_two_clips_are_matched() -> None:
    exact_clip(12)
    write_clip(Path("slow.mkv"), moving_frames(4, SIZE), rate=10, codec="ffv1", pix_fmt="bgr0")
    clip, slow = vidtrans.open_clip("c.mkv"), vidtrans.open_clip("slow.mkv")
    numbers, text = clip.match(slow)
    assert numbers == [n // 3 for n in range(12)]
    assert "c.mkv 12: matched by time" in text
    assert clip.match(clip) == (list(range(12)), "")
    assert clip[4:8].match(clip[4:8]) == ([0, 1, 2, 3], "")
    assert clip.match(slow[:2])[0] == [0, 0, 0, *[1] * 9]


def test_a_clip_states_its_content_and_its_clock() -> None:
    frames = moving_frames(4, SIZE)
    for name, begin in (("a.mkv", 0), ("late.mkv", 5120)):
        write_clip(Path(name), frames, pts=[begin + 512 * n for n in range(4)], codec="ffv1", pix_fmt="bgr0")
    Path("copy.mkv").write_bytes(Path("a.mkv").read_bytes())
    clip, copy, late = (vidtrans.open_clip(name) for name in ("a.mkv", "copy.mkv", "late.mkv"))
    assert (clip.name, clip.sample_aspect_ratio) == ("a.mkv", 1)
    assert clip.digest == copy.digest != late.digest
    assert late.start_timestamp - clip.start_timestamp == pytest.approx(1 / 3, abs=2e-3)
    assert late.times == pytest.approx(clip.times, abs=2e-3)


# Datasets


def test_a_dataset_is_a_sequence_of_pairs() -> None:
    exact_clip(12)
    folder = Path("d")
    vidtrans.make_dataset("c.mkv", folder, size=32, settings={"dataset": {"val_block_size": 2, "val_gap": 1}})
    dataset = vidtrans.open_dataset(folder)
    assert (len(dataset), dataset.pairing, dataset.path) == (10, "edges", folder)
    pair = dataset[3]
    assert (pair.input.dtype, pair.input.shape[:2], pair.target.shape) == (np.uint8, pair.target.shape[:2], (32, 43, 3))
    assert np.array_equal(pair.target, cv2.imread(str(folder / pair.name))[..., ::-1])
    assert sum(one.held_out for one in dataset) == 2
    assert np.array_equal(dataset[3].input, pair.input)
    (folder / pair.name).unlink()
    assert pair.name not in [one.name for one in vidtrans.open_dataset(folder)]
    assert dataset.sheet(2).shape[2] == 3
    with pytest.raises(IndexError):
        dataset[10]
    with pytest.raises(MediaError):
        vidtrans.open_dataset("nothing")


def test_frames_of_an_unpaired_dataset_have_the_name_of_their_domain() -> None:
    for name in ("a", "b"):
        exact_clip(8, name=f"{name}.mkv")
    vidtrans.make_dataset("a.mkv", output="d", unpaired=["b.mkv"], size=32)
    pairs = list(vidtrans.open_dataset("d"))
    assert {pair.domain for pair in pairs} == {"a", "b"}
    assert np.array_equal(pairs[0].input, pairs[0].target)


# Distances of pictures


def test_a_critic_prefers_the_same_content_and_the_same_style() -> None:
    critic = vidtrans.PictureCritic()
    frame, noise = moving_frames(1, SIZE)[0], np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    near = np.clip(frame.astype(int) + 8, 0, 255).astype(np.uint8)
    assert critic.name
    assert critic.distance(frame, frame) == 0 <= critic.distance(near, frame) < critic.distance(noise, frame)
    assert critic.distance(frame, frame.astype(np.uint16) * 257) == 0
    from_style = critic.distance_from_style(torch.from_numpy(frame))
    assert 0 <= from_style(frame) < from_style(noise)
    with pytest.raises(UsageError):
        critic.distance(frame, frame[..., 0])


# Names


def test_media_and_files_of_models_are_listed() -> None:
    assert "oil" in vidtrans.medium_names()
    picture = vidtrans.medium_picture("oil")
    assert picture is not None
    assert picture.is_file()
    assert vidtrans.medium_picture("no-medium") is None
    assert ".safetensors" in vidtrans.model_suffixes()


# Models


def model(**settings: Any) -> Any:
    make_model("m.safetensors", "edges")
    return vidtrans.load_model("m.safetensors", settings=settings)


def test_a_model_paints_the_frames_of_stylize_byte_for_byte() -> None:
    exact_clip(16, (0, 9))
    paints, clip = model(), vidtrans.open_clip("c.mkv")
    span = {"start": "4", "end": "12"}
    vidtrans.stylize("c.mkv", "m.safetensors", "part", codec="png", temporal="causal", strength=0.5, **span)
    settings = {"rendering": {"strength": 0.5}}
    assert equal(paints.render(clip[4:12], temporal="causal", settings=settings), read_folder("part"))


def test_a_medium_is_a_model_and_paints_streams_as_clips() -> None:
    frames = exact_clip(4)
    vidtrans.stylize("c.mkv", "oil", "made", codec="png")
    oil = vidtrans.load_model("oil")
    assert oil.name == "oil"
    made = list(oil.render(vidtrans.open_clip("c.mkv")))
    assert equal(made, read_folder("made"))
    assert equal([oil(frames[0]), *oil.render(iter(frames))], [made[0], *made])
    over = {"rendering": {"strength": 0.5}, "strokes": {"medium": "pencil", "size": 2}}
    drawn = vidtrans.load_model("identity", settings=over)
    assert equal(drawn.render(iter(frames)), drawn.render(vidtrans.open_clip("c.mkv")))
    with pytest.raises(UsageError, match="frames come one by one"):
        vidtrans.load_model("oil", settings={"strokes": {"fine": "a.png"}})(frames[0])
    with pytest.raises(ModelError, match="medium"):
        vidtrans.load_model(["oil", "identity"])


def test_one_frame_is_painted_as_an_array_or_a_tensor() -> None:
    (frame,) = moving_frames(1, SIZE)
    paints = model()
    made = paints(frame)
    assert (made.shape, made.dtype) == (frame.shape, np.uint8)
    assert torch.equal(paints(torch.from_numpy(frame)), torch.from_numpy(made))
    deep = paints(frame.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - made).mean() < 2


def test_a_model_that_needs_more_than_a_frame_says_so() -> None:
    make_model("r.safetensors", "next-frame", {"context_frames": 2})
    with pytest.raises(UsageError, match="render"):
        vidtrans.load_model("r.safetensors")(moving_frames(1, SIZE)[0])
    with pytest.raises(ModelError):
        vidtrans.load_model("nothing-of-this-name")
    assert list(vidtrans.load_model("identity").render([])) == []


# Filters


def test_deflicker_is_that_of_the_command() -> None:
    frames = [
        np.clip(f * (1 + 0.1 * (-1) ** i), 0, 255).astype(np.uint8) for i, f in enumerate(moving_frames(16, SIZE))
    ]
    write_clip(Path("c.mkv"), frames, codec="ffv1", pix_fmt="bgr0")
    vidtrans.deflicker("c.mkv", output="made", codec="png")
    clip, wanted = vidtrans.open_clip("c.mkv"), read_folder("made")
    assert equal(vidtrans.Deflicker(clip), wanted)
    assert equal(vidtrans.Deflicker(frames), wanted)
    assert not equal(wanted, frames)
    with pytest.raises(UsageError):
        vidtrans.Deflicker(clip, temporal="none-such")


# Key frames


def test_paint_is_carried_without_learning() -> None:
    frames = clip_and_keys()
    vidtrans.propagate("c.mkv", "keys", "made", minutes=0, codec="png")
    clip = vidtrans.open_clip("c.mkv")
    keys = {number: painted(frames[number]) for number in (2, 9)}
    assert equal(vidtrans.Propagator(clip, keys, minutes=0), read_folder("made"))
    with pytest.raises(UsageError, match="key frame 12"):
        vidtrans.Propagator(clip, {12: frames[0]}, minutes=0)


def test_a_propagator_learns_once_and_leaves_nothing_beside_the_clip() -> None:
    frames, steps = clip_and_keys(), list[int]()
    short: dict[str, Any] = {"training": {"steps": 1, "batch_size": 1, "crop_size": 32}, "generator": {"channels": 8}}
    vidtrans.propagate("c.mkv", "keys", "made", codec="png", settings=short)
    before = sorted(Path().iterdir())

    def report(event: vidtrans.Event) -> None:
        if isinstance(event, vidtrans.Progress) and event.unit == "steps":
            steps.append(event.done)

    def carried(keys: tuple[int, ...]) -> list[np.ndarray]:
        steps.clear()
        paint = {number: painted(frames[number]) for number in keys}
        clip = vidtrans.open_clip("c.mkv")
        return list(vidtrans.Propagator(clip, paint, settings=short, cache_dir="other", report=report))

    both, first = carried((2, 9)), carried((2,))
    assert steps == [1]
    assert equal(both, read_folder("made"))
    assert not equal(both, first)
    assert equal(carried((2, 9)), both)
    assert steps == []
    assert sorted(Path().iterdir()) == sorted([*before, Path("other")])


# Results


def test_a_written_clip_has_the_times_and_the_sound_of_its_source() -> None:
    frames = moving_frames(12, SIZE)
    stamps = [n * 512 + 100 * (n % 3) for n in range(12)]
    write_clip(Path("c.mp4"), frames, pts=stamps, sound=True)
    source = vidtrans.open_clip("c.mp4")
    assert vidtrans.write_clip((255 - f.rgb for f in source), "made.mp4", like=source) == 12
    made = vidtrans.open_clip("made.mp4")
    assert made.times == source.times
    packets = [[bytes(p) for p in av.open(name).demux(audio=0)] for name in ("made.mp4", "c.mp4")]
    assert packets[0] == packets[1] != [b""]
    assert np.abs(made[4].rgb.astype(int) - (255 - source[4].rgb.astype(int))).mean() < 8
