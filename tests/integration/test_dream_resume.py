"""A dream that is stopped or killed at any moment, made longer, made shorter or damaged: the same bytes."""

from __future__ import annotations

import random
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from chain import said_json
from clips import moving_frames, write_clip
from dreams import make_dreamer, toy, toys
from processes import Started, run_and_kill

import vidtrans as api
from vidtrans.concurrency.threads import BackgroundQueue
from vidtrans.dreaming.rollout import Rollout
from vidtrans.errors import Interrupted
from vidtrans.events import Event, Progress, Stop

__all__ = ["toys"]  # a fixture

CHUNK = 5
SETTINGS = {
    "rendering": {"chunk_frames": CHUNK},
    "dreaming": {"zoom": "1.01 + 0.01*sin(t)", "hue": 2.0, "drift_correction": 0.5},
}


@pytest.fixture
def material() -> tuple[Path, Path]:
    """A seed and a model that looks back on two frames."""
    return write_clip(Path("seed.mp4"), moving_frames(6)), make_dreamer(Path("two.safetensors"), context_frames=2)


def dream(frames: int, output: str, cache: str = ".vidtrans", **options: object) -> dict[str, object]:
    settings = options.pop("settings", SETTINGS)
    return api.dream(
        "seed.mp4", "two.safetensors", output, frames=frames, cache_dir=cache, settings=settings, **options
    )  # type: ignore[arg-type]


def digest(output: str) -> bytes:
    return Path(output).read_bytes()


@pytest.mark.parametrize("beside", [False, True], ids=["at-once", "beside"])
def test_stopped_at_random_frames_it_goes_on_to_the_same_bytes(
    beside: bool, material: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dream(43, "whole.mp4", "other")
    monkeypatch.setattr("vidtrans.dreaming.dream_job.SYNCHRONOUS_PIXELS", 0 if beside else 10_000)
    rng, stops, inferred = random.Random(0), 0, 0
    for _ in range(12):
        stop, wanted = Stop(), rng.randrange(1, 14)

        def hear(event: Event, stop: Stop = stop, wanted: int = wanted) -> None:
            nonlocal inferred
            if isinstance(event, Progress) and event.task.startswith("dreaming"):
                hear.heard += 1  # type: ignore[attr-defined]
                inferred += 1
                if hear.heard == wanted:  # type: ignore[attr-defined]
                    stop.request(130)

        hear.heard = 0  # type: ignore[attr-defined]
        try:
            dream(43, "out.mp4", report=hear, stop=stop)
            break
        except Interrupted:
            stops += 1
            assert not Path("out.mp4").exists()
    else:
        dream(43, "out.mp4")
    assert stops >= 3
    assert inferred <= 43 + stops * CHUNK
    assert digest("out.mp4") == digest("whole.mp4")


@pytest.mark.parametrize("waiting", [0, 1, 4])
def test_jobs_beside_are_done_in_order_and_an_error_is_raised_where_somebody_waits(waiting: int) -> None:
    done: list[int] = []
    with closing(BackgroundQueue(waiting)) as beside:
        for number in range(20):
            beside.put(partial(done.append, number))
        beside.finish()
        assert done == list(range(20))
    with closing(BackgroundQueue(waiting)) as beside:
        beside.put(partial(done.append, 20))
    assert done[-1] == 20  # closed in a hurry, it still does what it was given

    def fail() -> None:
        raise OSError("full")

    def all_of_them() -> None:
        with closing(BackgroundQueue(waiting)) as beside:
            for _ in range(20):
                beside.put(fail)
            beside.finish()

    with pytest.raises(OSError, match="full"):
        all_of_them()


def test_a_longer_dream_goes_on_from_a_shorter_one(material: tuple[Path, Path]) -> None:
    assert dream(33, "long.mp4", "other")["frames_inferred"] == 33
    assert dream(12, "short.mp4")["frames_inferred"] == 12
    table = dream(33, "longer.mp4")
    assert table["frames_inferred"] == table["frames_encoded"] == 33 - 10  # two chunks were whole
    assert digest("longer.mp4") == digest("long.mp4")
    dream(12, "again.mp4", "third")
    assert dream(12, "shorter.mp4", "other")["frames_encoded"] == 2
    assert digest("shorter.mp4") == digest("again.mp4") == digest("short.mp4")
    assert dream(33, "same.mp4", "other")["frames_inferred"] == 0
    assert digest("same.mp4") == digest("long.mp4")


def test_what_is_damaged_is_dreamt_again_and_nothing_else_is_encoded(material: tuple[Path, Path]) -> None:
    dream(33, "whole.mp4")
    entry = next(Path(".vidtrans/dream").iterdir())
    damaged = entry / "chunk-000015.nut"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    table = dream(33, "again.mp4")
    assert table["frames_encoded"] == CHUNK
    assert digest("again.mp4") == digest("whole.mp4")
    for state in entry.glob("state-*.npz"):
        state.write_bytes(b"damaged")
    (entry / "chunk-000030.nut").unlink()
    assert dream(33, "third.mp4")["frames_encoded"] == CHUNK
    assert digest("third.mp4") == digest("whole.mp4")


def test_states_are_kept_now_and_then_and_at_the_end(material: tuple[Path, Path]) -> None:
    dream(95, "out.mp4")
    entry = next(Path(".vidtrans/dream").iterdir())
    assert [p.stem for p in sorted(entry.glob("state-*.npz"))] == ["state-000040", "state-000080", "state-000095"]
    assert len(list(entry.glob("chunk-*.nut"))) == 19
    dream(52, "shorter.mp4")
    table = dream(98, "longer.mp4")
    assert table["frames_inferred"] == 3


def test_what_was_dreamt_is_kept_and_a_chunk_without_its_state_too(
    material: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dream(33, "whole.mp4", "other")

    class Killed(BaseException):
        pass

    written = 0
    step = Rollout.step

    def dying(rollout: Rollout) -> object:
        nonlocal written
        written += 1
        if written == 23:
            raise Killed
        return step(rollout)

    with monkeypatch.context() as patched:
        patched.setattr(Rollout, "step", dying)
        with pytest.raises(Killed):
            dream(33, "out.mp4")
    entry = next(Path(".vidtrans/dream").iterdir())
    assert [p.stem for p in entry.glob("state-*.npz")] == ["state-000020"]
    assert dream(33, "out.mp4")["frames_inferred"] == 33 - 20
    assert digest("out.mp4") == digest("whole.mp4")
    dream(33, "out.mp4", overwrite=True)
    for path in (*entry.glob("state-*"), *entry.glob("chunk-000030.*"), *entry.glob("chunk-000033.*")):
        path.unlink()  # the chunk was there, and its state not yet
    assert dream(33, "again.mp4")["frames_encoded"] == 8
    assert digest("again.mp4") == digest("whole.mp4")


def test_another_setting_is_another_dream_and_another_result_name_is_not(material: tuple[Path, Path]) -> None:
    dream(10, "a.mp4")
    assert dream(10, "b.mp4")["frames_inferred"] == 0
    for table in ({"zoom": 1.02}, {"hue": 2.5}, {"drift_correction": 0.4}, {"rotate": "t"}):
        other = {**SETTINGS, "dreaming": {**SETTINGS["dreaming"], **table}}
        assert dream(10, "c.mp4", settings=other, overwrite=True)["frames_inferred"] == 10
    quicker = {**SETTINGS, "encoding": {"fps": "50"}}
    assert dream(10, "d.mp4", settings=quicker)["frames_inferred"] == 10  # t goes by otherwise


@pytest.mark.parametrize("flags", [["--frames", "40"], ["--frames", "40", "--loop"]], ids=["open", "loop"])
def test_a_loop_or_not_stopped_and_taken_up_is_the_same(
    flags: list[str], toys: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(Path("seed.mp4"), moving_frames(6))
    model = toy(Path("toy.safetensors"), leak=0.2, context_frames=2)
    command = ["dream", "seed.mp4", "--model", model, *flags, "--set", f"rendering.chunk_frames={CHUNK}"]
    said_json(capsys, *command, "-o", "whole.mp4", "--cache-dir", "other")
    step, calls = Rollout.step, 0

    class Killed(BaseException):
        pass

    def dying(rollout: Rollout) -> object:
        nonlocal calls
        calls += 1
        if calls % 17 == 0:
            raise Killed
        return step(rollout)

    kills = 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Rollout, "step", dying)
        for _ in range(30):
            try:
                said_json(capsys, *command, "-o", "out.mp4")
                break
            except Killed:
                kills += 1
                if calls // 17 >= 6:
                    patched.undo()
    assert kills >= 2
    assert digest("out.mp4") == digest("whole.mp4")


@pytest.mark.slow
def test_kill_9_at_any_moment_costs_nothing_but_time(material: tuple[Path, Path]) -> None:
    command = ["dream", "seed.mp4", "--model", "two.safetensors", "--frames", "450", "-o", "out.mp4"]
    command += ["--set=rendering.chunk_frames=25", "--zoom", "1.01 + 0.01*sin(t)", "--device", "cpu"]
    assert not run_and_kill([*command, "--cache-dir", "other"], Path(), 300)
    whole = digest("out.mp4")
    Path("out.mp4").unlink()
    rng = random.Random(0)
    for written in (1, 6, 10):  # of 18 chunks
        kill_after(command, written, rng.uniform(0, 0.2))
        assert not Path("out.mp4").exists()
    assert not run_and_kill(command, Path(), 300)
    assert digest("out.mp4") == whole


def kill_after(arguments: list[str], chunks: int, delay_s: float) -> None:
    """Start the command and kill it a moment after it has written so many chunks."""
    process = Started.vidtrans(*arguments)
    try:
        while len(list(Path(".vidtrans/dream").glob("*/*.nut"))) < chunks:
            assert process.poll() is None, "it ended before"
            time.sleep(0.005)
        time.sleep(delay_s)
    finally:
        process.kill()
