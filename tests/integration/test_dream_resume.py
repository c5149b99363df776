"""A dream that is stopped or killed at any moment, made longer, made shorter or damaged: the same bytes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import said_json
from clips import moving_frames, write_clip
from dreams import make_dreamer, toy, toys

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.dreaming.rollout import Rollout

__all__ = ["toys"]  # a fixture

CHUNK = 5
SETTINGS = {
    "rendering": {"chunk_frames": CHUNK},
    "dreaming": {"zoom": "1.01 + 0.01*sin(t)", "hue": 2.0, "drift_correction": 0.5},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seed and a model that looks back on two frames, which are written once: encoders may make other bytes again."""
    folder = tmp_path_factory.mktemp("material")
    write_clip(folder / "seed.mp4", moving_frames(6))
    make_dreamer(folder / "two.safetensors", context_frames=2)
    return folder


@pytest.fixture
def material(written: Path) -> None:
    shutil.copytree(written, ".", dirs_exist_ok=True)


def dream(frames: int, output: str, cache: str = ".vidtrans", **options: object) -> dict[str, object]:
    given: Any = {"settings": SETTINGS, "frames": frames, "cache_dir": cache, **options}
    return api.dream("seed.mp4", "two.safetensors", output, **given)


def digest(output: str) -> bytes:
    return Path(output).read_bytes()


@pytest.fixture(scope="module")
def whole(written: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The dream of 33 frames, made in one go."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(written, folder, dirs_exist_ok=True)
    with contextlib.chdir(folder):
        dream(33, "whole.mp4")
    return (folder / "whole.mp4").read_bytes()


def test_stopped_at_random_frames_it_goes_on_to_the_same_bytes(
    material: None, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidtrans.dreaming.dream_job.SYNCHRONOUS_PIXELS", 0)
    inferred = list[int]()
    for wanted in (3, 12):
        stop, first = Stop(), len(inferred)

        def hear(event: Event, stop: Stop = stop, last: int = first + wanted) -> None:
            if isinstance(event, Progress) and event.task.startswith("dreaming"):
                inferred.append(event.done)
                if len(inferred) == last:
                    stop.request(130)

        with pytest.raises(Interrupted):
            dream(33, "out.mp4", report=hear, stop=stop)
        assert not Path("out.mp4").exists()
    dream(33, "out.mp4", report=hear)
    assert len(inferred) <= 33 + 2 * CHUNK
    assert digest("out.mp4") == whole


def test_a_longer_dream_goes_on_from_a_shorter_one(material: None, whole: bytes) -> None:
    assert dream(12, "short.mp4")["frames_inferred"] == 12
    table = dream(33, "longer.mp4")
    assert table["frames_inferred"] == table["frames_encoded"] == 33 - 10  # two chunks were whole
    assert digest("longer.mp4") == whole
    assert dream(12, "again.mp4")["frames_inferred"] == 0
    assert digest("again.mp4") == digest("short.mp4")


def test_what_is_damaged_is_dreamt_again_and_nothing_else_is_encoded(material: None, whole: bytes) -> None:
    dream(33, "first.mp4")
    entry = next(Path(".vidtrans/dream").iterdir())
    damaged = entry / "chunk-000015.nut"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert dream(33, "again.mp4")["frames_encoded"] == CHUNK
    for state in entry.glob("state-*.npz"):
        state.write_bytes(b"damaged")
    (entry / "chunk-000030.nut").unlink()
    assert dream(33, "third.mp4")["frames_encoded"] == CHUNK
    assert digest("again.mp4") == digest("third.mp4") == whole


class Killed(BaseException):
    """kill -9, as far as Python can tell."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let dreams be killed at every so many steps; 0: never more."""
    step, calls, every = Rollout.step, 0, 0

    def counted(rollout: Rollout) -> object:
        nonlocal calls
        calls += 1
        if every and calls % every == 0:
            raise Killed
        return step(rollout)

    def set_to(number: int) -> None:
        nonlocal every
        every = number

    monkeypatch.setattr(Rollout, "step", counted)
    return set_to


def test_states_are_kept_now_and_then_and_at_the_end(material: None) -> None:
    dream(55, "out.mp4")
    entry = next(Path(".vidtrans/dream").iterdir())
    assert [p.stem for p in sorted(entry.glob("state-*.npz"))] == ["state-000040", "state-000055"]
    assert len(list(entry.glob("chunk-*.nut"))) == 11
    assert dream(58, "longer.mp4")["frames_inferred"] == 3


def test_what_was_dreamt_is_kept_and_a_chunk_without_its_state_too(
    material: None, whole: bytes, dying: Callable[[int], None]
) -> None:
    dying(23)
    with pytest.raises(Killed):
        dream(33, "out.mp4")
    dying(0)
    entry = next(Path(".vidtrans/dream").iterdir())
    assert [p.stem for p in entry.glob("state-*.npz")] == ["state-000020"]
    assert dream(33, "out.mp4")["frames_inferred"] == 33 - 20
    assert digest("out.mp4") == whole
    dream(33, "out.mp4", overwrite=True)
    for path in (*entry.glob("state-*"), *entry.glob("chunk-000030.*"), *entry.glob("chunk-000033.*")):
        path.unlink()  # the chunk was there, and its state not yet
    assert dream(33, "again.mp4")["frames_encoded"] == 8
    assert digest("again.mp4") == whole


def test_a_loop_that_was_killed_and_taken_up_is_the_same(
    toys: None, dying: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(Path("seed.mp4"), moving_frames(6))
    model = toy(Path("toy.safetensors"), leak=0.2, context_frames=2)
    command = ["dream", "seed.mp4", "--model", model, "--frames", 40, "--loop", f"--set=rendering.chunk_frames={CHUNK}"]
    said_json(capsys, *command, "-o", "whole.mp4", "--cache-dir", "other")
    dying(17)
    for _ in range(2):
        with pytest.raises(Killed):
            said_json(capsys, *command, "-o", "out.mp4")
    dying(0)
    said_json(capsys, *command, "-o", "out.mp4")
    assert digest("out.mp4") == digest("whole.mp4")
