"""vidtrans dream, as a person would use it: seeds, clocks, loops, sounds, several models; and what is refused."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of, sound_packets, times, write_clip, write_folder
from dreams import POSITIONS, jumps, make_dreamer, toy, toys

from vidtrans.dreaming.dream_job import DreamJob
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
__all__ = ["toys"]  # a fixture

EXACT = ("--codec", "ffv1", "--set", "rendering.precision=fp32")
Frames = list[np.ndarray]
Dreams = Callable[..., Frames]


@pytest.fixture(scope="module")
def dreamer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that looks back on two frames."""
    return make_dreamer(tmp_path_factory.mktemp("models") / "two.safetensors", context_frames=2)


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "seed.mp4", moving_frames(12))


def write_wave(path: Path, seconds: float, hertz: float = 100.0) -> Path:
    """Half of it silent, half of it a tone."""
    rate = 22_050
    samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    samples[: len(samples) // 2] = 0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def dream(capsys: Capsys) -> Dreams:
    def made(*arguments: object) -> Frames:
        said(capsys, 0, "dream", *arguments, "-o", "out.mkv", "--overwrite", *EXACT)
        return decode(Path("out.mkv"))[2]

    return made


def same(one: Frames, other: Frames) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_video_gives_a_video_of_its_size_and_rate(seed: Path, dreamer: Path, capsys: Capsys) -> None:
    command = ("dream", seed, "--model", dreamer, "--frames", 25)
    planned = said_json(capsys, *command, "--dry-run")
    assert planned["estimate"]["seconds"] > 0 < planned["estimate"]["disk_bytes"]
    assert not Path(".vidtrans").exists()
    table = said_json(capsys, *command)
    assert table["output"] == "seed.two.dream.mp4"
    assert (table["frames"], table["size"], table["working_size"]) == (25, [64, 48], [43, 32])
    assert (table["rate"], table["cached"], table["frames_inferred"]) == ("30", False, 25)
    assert times(Path("seed.two.dream.mp4")) == [Fraction(n, 30) for n in range(25)]
    assert {f.shape for f in decode(Path("seed.two.dream.mp4"))[2]} == {(48, 64, 3)}
    assert said_json(capsys, *command)["cached"] is True
    larger = ("--upscale", "faithful", "--size", "source", "-o", "frames/%03d.png")
    assert "--upscale faithful has no effect" in said(capsys, 0, *command, *larger)
    assert list(pictures_of(Path("frames"))) == [f"{n:03}.png" for n in range(25)]


def test_the_context_is_the_seeds_frames_from_start(seed: Path, dream: Dreams, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_dreamer(Path("stepping.safetensors"), context_frames=2, step=3)
    shown: list[np.ndarray] = []
    predict = TorchEngine.predict

    def listening(engine: TorchEngine, x: Any) -> Any:
        shown.append(x[0].cpu().numpy().copy())
        return predict(engine, x)

    monkeypatch.setattr(TorchEngine, "predict", listening)
    dream(seed, "--model", model, "--frames", 2, "--start", 4, "--size", "source")
    frames = [f.astype(np.float32).transpose(2, 0, 1) / 127.5 - 1 for f in decode(seed)[2]]
    nearest = [int(np.argmin([np.abs(half - f).mean() for f in frames])) for half in (shown[0][:3], shown[0][3:])]
    assert nearest == [4, 7]
    assert np.array_equal(shown[1][:3], shown[0][3:])


def test_a_seed_that_has_a_cut_in_it_is_told_of(dreamer: Path, capsys: Capsys) -> None:
    cut = write_clip(Path("cut.mp4"), moving_frames(40, shots=(0, 20)))
    more = ("--model", dreamer, "--frames", 2, "--overwrite", "-o", "o.mp4")
    told = said(capsys, 0, "dream", cut, "--start", 19, *more)
    assert "a cut, at frame 20, lies within the seed: --start 20 begins after it" in told
    for start in (18, 20):
        assert "lies within the seed" not in said(capsys, 0, "dream", cut, "--start", start, *more)


def test_a_picture_a_folder_and_noise_are_seeds_too(dreamer: Path, dream: Dreams) -> None:
    pictures = moving_frames(3)
    folder = write_folder(Path("pictures"), pictures)
    model = ("--model", dreamer, "--frames", 4)
    of_folder, of_picture = dream(folder, *model), dream(folder / "0.png", *model)
    assert of_folder[0].shape == of_picture[0].shape == (48, 64, 3)
    assert not same(of_folder, of_picture)
    assert times(Path("out.mkv"))[1] == Fraction(1, 20)  # what the model learned from
    noise = dream("noise", *model)
    assert noise[0].shape == (32, 32, 3)
    assert same(noise, dream("noise", *model))
    assert not same(noise, dream("noise", *model, "--seed", 1))
    assert dream("noise", *model, "--size", "48x32")[0].shape == (32, 48, 3)
    folder.rename("noise")
    assert dream("./noise", *model)[0].shape == (48, 64, 3)  # a folder of that name


def test_the_camera_changes_the_dream_from_the_frame_it_moves_at(seed: Path, dreamer: Path, dream: Dreams) -> None:
    model = ("--model", dreamer, "--frames", 4, "--drift-correction", 0)
    plain = dream(seed, *model)
    moves = {"--zoom": (1, 1.1), "--rotate": (0, 5), "--pan-x": (0, 0.1), "--pan-y": (0, 0.1), "--hue": (0, 20)}
    for flag, (neutral, moved) in moves.items():
        later = dream(seed, *model, flag, f"1: {neutral}, 2: {moved}")
        assert [np.array_equal(a, b) for a, b in zip(plain, later, strict=True)] == [True, True, False, False], flag
        assert same(dream(seed, *model, flag, f"{neutral}.0 + 0*t"), plain), flag


def test_a_driving_video_is_followed_and_its_last_frame_stays(
    seed: Path, tmp_path: Path, dreamer: Path, capsys: Capsys, dream: Dreams
) -> None:
    driver = write_clip(tmp_path / "driver.mp4", moving_frames(5, size=(48, 64)))
    model = ("--model", dreamer, "--frames", 9)
    plain, none = dream(seed, *model), dream(seed, *model, "--blend", driver, "--blend-amount", "0")
    assert same(plain, none)
    told = said(capsys, 0, "dream", seed, *model, "--blend", driver, "-o", "b.mkv", *EXACT)
    assert told.count("driver.mp4 ends after 0.17 s: its last frame is repeated") == 1
    blended = decode(Path("b.mkv"))[2]
    assert np.array_equal(blended[0], plain[0])  # it is fed back, not laid over
    assert not np.array_equal(blended[1], plain[1])
    wholly = dream(seed, *model, "--blend", driver, "--blend-amount", "1")
    assert np.array_equal(wholly[7], wholly[8])  # the same is seen twice


def test_a_sound_is_heard_and_becomes_the_results(seed: Path, dreamer: Path, dream: Dreams, capsys: Capsys) -> None:
    sound = write_wave(Path("beat.wav"), 1.0)
    model = ("--model", dreamer, "--frames", 24, "--drift-correction", 0)
    plain = dream(seed, *model)
    heard = dream(seed, *model, "--sound", sound, "--zoom", "1 + clamp(low - 0.01, 0, 1)")
    assert same(plain[:8], heard[:8])  # silence
    assert not np.array_equal(plain[20], heard[20])
    packets = sound_packets(Path("out.mkv"))
    assert packets[0][0] == 0
    assert 0.7 <= packets[-1][0] < 0.8
    seen = write_clip(Path("seen.mp4"), moving_frames(40), sound=True)
    said(capsys, 0, "dream", seed, *model, "--sound", seen, "-o", "carried.mp4")
    assert sound_packets(Path("carried.mp4"))[0][1] == sound_packets(seen)[0][1]
    assert "the result is silent" in said(capsys, 0, "dream", seed, *model, "--sound", sound, "-o", "silent.gif")
    said(capsys, 0, "dream", seen, *model, "-o", "mute.mp4")
    assert sound_packets(Path("mute.mp4")) == []  # a seed's own sound is not the dream's


def test_a_flat_dream_begins_again_and_says_so(seed: Path, toys: None, capsys: Capsys) -> None:
    model = toy(Path("grey.safetensors"), leak=0.7, position="none")  # everything becomes grey
    told = said(capsys, 0, "dream", seed, "--model", model, "--frames", 40, "--drift-correction", 0.05, "-o", "a.mp4")
    assert 1 <= told.count("restarts from the seed") <= 3
    assert "frame 1" in told


def test_a_loop_closes(toys: None, capsys: Capsys, seed: Path) -> None:
    frames, speed, rounds = 25, "-1", -1
    model = toy(Path("toy.safetensors"), leak=0.15)
    ask = ("dream", seed, "--model", model, "--frames", frames, "--zoom", "1.01", *EXACT, "-o")
    table = said_json(capsys, *ask, "loop.mkv", "--loop", "--speed", speed, "--set", "rendering.chunk_frames=7")
    assert table["rounds"] == rounds
    assert table["speed"] == pytest.approx(rounds * POSITIONS / frames, abs=1e-3)
    steps, back = jumps(decode(Path("loop.mkv"))[2])
    assert back <= max(steps)
    said(capsys, 0, *ask, "open.mkv")
    steps, back = jumps(decode(Path("open.mkv"))[2])
    assert back > 1.5 * float(np.median(steps))  # else it says nothing


def test_models_come_in_turn_as_often_as_told(seed: Path, dream: Dreams) -> None:
    one, other = (make_dreamer(Path(f"{n}.safetensors"), seed=n) for n in (1, 2))
    only = dream(seed, "--model", one, "--frames", 9)
    both = dream(seed, "--model", one, "--model", other, "--frames", 9, "--every", 3)
    assert same(both[:3], only[:3])
    assert not np.array_equal(both[3], only[3])
    third = dream(seed, "--model", one, "--model", other, "--frames", 9)  # 5 and 4
    assert same(third[:5], only[:5])
    assert not np.array_equal(third[5], only[5])


def test_models_pass_into_one_another(seed: Path, toys: None, dream: Dreams) -> None:
    still, grey = (toy(Path(f"{n}.safetensors"), leak=leak, position="none") for n, leak in enumerate((0.0, 0.5)))
    plain = ("--frames", 9, "--drift-correction", 0)
    one = dream(seed, "--model", still, *plain)
    made = dream(seed, "--model", still, "--model", grey, *plain, "--morph", "--every", 4)
    # 0: as the first, 4 and after: as the second; the share that goes to grey grows evenly in between.
    middle = [f.astype(float) - 127.5 for f in (one[0], *made)]
    lost = [1 - np.sum(b * a) / np.sum(a * a) for a, b in pairwise(middle)]
    assert lost == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5, 0.5], abs=0.04)


def test_a_shells_list_of_snapshots_is_several_models(seed: Path, dream: Dreams, capsys: Capsys) -> None:
    files = [make_dreamer(Path(f"m.train-{n}.safetensors"), seed=n) for n in range(3)]
    asked = dream(seed, *[x for f in files for x in ("--model", f)], "--frames", 6, "--morph")
    assert same(dream(seed, "--model", *files, "--frames", 6, "--morph"), asked)
    assert same(dream("--model", *files, seed, "--frames", 6, "--morph"), asked)
    assert "2 were given" in refuse(capsys, 2, "dream", seed, seed, "--model", files[0], "--frames", 3)
    twice = ("--model", files[0], "--model", files[1], files[2])
    assert "--model before each" in refuse(capsys, 2, "dream", seed, *twice, "--frames", 3)
    assert "there is none" in refuse(capsys, 2, "dream", files[1], "--model", files[0], "--frames", 3)


def test_what_cannot_be_dreamt_is_said_in_one_line(
    seed: Path, dreamer: Path, tiny_model: Path, toys: None, capsys: Capsys
) -> None:
    write_clip(Path("short.mp4"), moving_frames(1))
    write_picture(Path("one.png"), moving_frames(1)[0])
    sound, clocked = write_wave(Path("s.wav"), 0.5), toy(Path("t.safetensors"))
    one = make_dreamer(Path("one.safetensors"), context_frames=1)
    no_file, no_clock = "no such file", "'two' has no clock"
    cases: list[tuple[int, tuple[object, ...], str]] = [
        (3, (seed, "--model", tiny_model), "does not predict frames (its pairing is 'edges')"),
        (3, (seed, "--model", "identity"), "does not predict frames"),
        (2, (seed, "--model", clocked, "--loop", "--speed", "1+t"), "a loop needs a constant speed"),
        (2, (seed, "--model", dreamer, "--model", one, "--morph"), "'two' and 'one' have different architectures"),
        (2, (seed, "--model", clocked, "--model", one, "--loop"), "'one' has no clock"),
    ]
    cases += [
        (status, (first, "--model", dreamer, *flags), says)
        for status, first, flags, says in (
            (2, seed, ("--loop",), f"error: --loop: {no_clock}"),
            (2, seed, ("--speed", "low"), f"error: --speed: {no_clock}"),
            (2, seed, ("--position", "0.2"), f"error: --position: {no_clock}"),
            (3, "short.mp4", (), "it has 1 frame, and 'two' needs 2"),
            (3, seed, ("--start", 11), "it has 1 frame from 11 on"),
            (2, seed, ("--start", 12), "no frames of seed.mp4"),
            (2, "noise", ("--start", 1), "noise has no start time"),
            (2, "one.png", ("--start", 1), "--start 1: one.png is one picture — leave out --start"),
            (2, "noise", ("--size", "source"), "noise has no size"),
            (2, seed, ("-o", "o.png"), "one picture cannot hold 30 frames"),
            (2, seed, ("--zoom", "1.01 + sn(t)"), "at character 8: 'sn' is not known — did you mean 'sin'?"),
            (2, seed, ("--rotate", "1/t"), "at frame 0 it is no number"),
            (2, seed, ("--zoom", "frame/5 + clamp(9-frame, 0, 1)"), "at frame 21 it is 4.2 — keep it from 0.25 to 4"),
            (2, seed, ("--hue", "low"), "low: it is heard in a sound, and no sound is given"),
            (2, seed, ("--blend-amount", "0.3"), "there is no driving video"),
            (2, seed, ("--morph",), "it needs several models, and only one is given"),
            (2, seed, ("--every", 5), "it needs several models, and only one is given"),
            (2, seed, ("--sound", sound), "lasts 0.50 s, and the dream 1.00 s — use --frames 15"),
            (3, seed, ("--sound", seed), "there is no sound in it"),
            (3, seed, ("--sound", "missing.wav"), no_file),
            (3, seed, ("--blend", "missing.mp4"), no_file),
            (2, seed, ("--set", "rendering.strength=0.5"), "'dream' does not read it"),
        )
    ]
    for status, arguments, says in cases:
        assert says in refuse(capsys, status, "dream", *arguments, "--frames", 30)


def test_an_error_while_encoding_is_told_where_it_belongs(
    seed: Path, dreamer: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidtrans.dreaming.dream_job.SYNCHRONOUS_PIXELS", 0)  # it is done beside

    class Full:
        def write(self, picture: np.ndarray, stamp: int) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

        def abandon(self) -> None: ...

    monkeypatch.setattr(DreamJob, "_segment", lambda job, path: path.touch() or Full())
    assert "free some space" in said(capsys, 1, "dream", seed, "--model", dreamer, "--frames", 90)
    assert not Path("seed.two.dream.mp4").exists()
