"""Clips on machines that share no disk: what is sent, what comes back, and what is done when one of them fails."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pretended_ray
import pytest
from chain import refuse, said, said_json, snapshot
from clips import moving_frames, write_clip
from made_music import drums
from paintings import painted, write
from pretended_ray import PretendedRay, WorkerCrashedError

from vidtrans.batch.executors import Task, TaskResult, ray_unshared
from vidtrans.batch.executors.inline import InlineExecutor
from vidtrans.config.recipe import render_recipe
from vidtrans.core.errors import DeviceError, UsageError
from vidtrans.core.events import Event, Progress
from vidtrans.rendering.parts import Division
from vidtrans.session import Context
from vidtrans.stylizing.parts import divide
from vidtrans.stylizing.requests import StylizeRequest

APART = ("--executor", "ray", "--no-shared-disk", "--device", "cpu")
CHUNKS = ("--set", "rendering.chunk_frames=3", "--size", "48")
PART = "run_part_on_ray"


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PretendedRay:
    """A pretended Ray, whose machines have a folder for temporary files of their own."""
    monkeypatch.setattr(ray_unshared, "LocalExecutor", InlineExecutor)
    monkeypatch.setattr(ray_unshared, "CHUNK_CHECK_S", 0.01)
    monkeypatch.setattr(ray_unshared, "_MIRRORS", {})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    (tmp_path / "there").mkdir()
    return pretended_ray.pretend(monkeypatch)


def parts(ray: PretendedRay) -> list[str]:
    """The nodes that rendered parts, in order."""
    return [node for name, node in ray.ran if name == PART]


def outcomes(folder: str) -> list[dict[str, Any]]:
    """The rows of the summary of a batch."""
    rows: list[dict[str, Any]] = json.loads((Path(folder) / "vidtrans-batch.json").read_text())["items"]
    return rows


def short(folder: Path, count: int = 1) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [write_clip(folder / f"{n}.mp4", moving_frames(6 + n), sound=True) for n in range(count)]


def same(one: str, other: str) -> bool:
    return Path(one).read_bytes() == Path(other).read_bytes()


def stylize(*arguments: object, status: int = 0, capsys: pytest.CaptureFixture[str]) -> str:
    """Render on the pretended cluster, which shares no disk, and return all that was told."""
    return said(capsys, status, "stylize", *arguments, "--model", "flower", *APART, *CHUNKS)


def alone(*arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    """Render in this process, with a cache of its own."""
    local = ("--model", "flower", *CHUNKS, "-o", "alone.mp4", "--cache-dir", "own", "--device", "cpu", "--overwrite")
    said(capsys, 0, "stylize", *arguments, *local)
    return "alone.mp4"


def test_clips_have_the_same_bytes_and_nothing_stays_there(
    ray: PretendedRay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short(tmp_path / "clips", 2)
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video")
    stylize("clips", "-o", "out", status=5, capsys=capsys)
    rows = outcomes("out")
    assert [row["state"] for row in rows].count("failed") == 1
    assert len(parts(ray)) == 2
    assert sum(row.get("frames_inferred", 0) for row in rows) == 6 + 7
    for name in ("0", "1"):
        assert same(f"out/{name}.flower.mp4", alone(f"clips/{name}.mp4", capsys=capsys))
    assert not list((tmp_path / "there").iterdir())
    assert not [p for p in (tmp_path / ".vidtrans").rglob("*") if ".partial" in p.name]
    # … and the log has a line for each chunk.
    assert said_json(capsys, "batch", "report", "out")["chunks"] == 5
    assert "up to date" in stylize("clips/0.mp4", "-o", "out/0.flower.mp4", capsys=capsys)
    assert len(parts(ray)) == 2


def test_files_are_sent_wherever_they_lie(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside of the working folder, behind links, by absolute names; a mask, a list of cuts, a folder of pictures."""
    far = tmp_path / "far"
    short(far)
    write(far / "mask.png", moving_frames(1)[0])
    (far / "cuts.txt").write_text("0\n4\n")
    (far / "moves.csv").write_text("time,glow\n0,0\n1,1\n")
    drums(120, 1).write(far / "drums.wav")
    (far / "pictures").mkdir()
    for number, frame in enumerate(moving_frames(4)):
        write(far / "pictures" / f"{number}.png", painted(frame))
    (tmp_path / "linked").symlink_to(far)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "pictures").symlink_to(far / "pictures")
    monkeypatch.chdir(tmp_path / "work")
    given: tuple[object, ...] = ("../linked/0.mp4", "--mask", far / "mask.png", "--cuts", far / "cuts.txt")
    given += ("--start", "0.06s", "--strength", f"0.5*low + '{far}/moves.csv:glow'", "--mix", "../linked/moves.csv")
    given += ("--sound", far / "drums.wav")
    stylize(*given, "-o", "apart.mp4", capsys=capsys)
    assert same(alone(*given, capsys=capsys), "apart.mp4")
    (far / "mine.toml").write_text('[[layer]]\nbrush = "brush.png"\n')
    write(far / "brush.png", np.repeat(np.tile(np.uint8([0, 90, 255, 90, 0]), (5, 1))[..., None], 3, axis=2))
    write(far / "palette.png", moving_frames(2)[1])
    given = ("../linked/0.mp4", "--strokes", "../linked/mine.toml", "--palette", far / "palette.png", "--start", "3")
    given += ("--set", f"strokes.fine=not:{far}/mask.png", "--set", "strokes.light=../linked/moves.csv")
    stylize(*given, "-o", "painted.mp4", capsys=capsys)
    assert same(alone(*given, capsys=capsys), "painted.mp4")
    stylize("pictures", "-o", "apart", capsys=capsys)
    here = ("--model", "flower", *CHUNKS, "--device", "cpu", "--cache-dir", "own")
    said(capsys, 0, "stylize", "pictures", *here, "-o", "alone")
    assert len(parts(ray)) == 3
    assert snapshot(Path("apart")) == snapshot(Path("alone"))
    assert len(snapshot(Path("apart"))) == 4


@pytest.mark.thorough
def test_what_came_back_from_a_lost_machine_is_not_made_again(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short(tmp_path)
    made: list[tuple[int, int]] = []
    send_file = ray_unshared._ChunkSender._send_file
    missing = ray_unshared.ChunkReceiver.missing_part

    def send_one_chunk(self: Any, path: Path) -> None:
        """The machine is lost after the first chunk."""
        if len(parts(ray)) > 1 or "000000" in path.name:
            send_file(self, path)

    def note(self: Any, *arguments: Any) -> Any:
        found = missing(self, *arguments)
        made.append(found)
        return found

    monkeypatch.setattr(ray_unshared._ChunkSender, "_send_file", send_one_chunk)
    monkeypatch.setattr(ray_unshared.ChunkReceiver, "missing_part", note)
    ray.lose = lambda name, node: WorkerCrashedError if name == PART and len(parts(ray)) == 1 else None
    told = stylize("0.mp4", "-o", "apart.mp4", capsys=capsys)
    assert "the job is restarted" in told
    assert len(parts(ray)) == 2
    assert made[0] == (0, 2)
    assert made[-1] == (1, 2)
    assert same(alone("0.mp4", capsys=capsys), "apart.mp4")


def test_one_that_has_all_chunks_back_is_not_run_again(
    ray: PretendedRay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short(tmp_path)
    ray.lose = lambda name, node: WorkerCrashedError if name == PART else None
    stylize("0.mp4", "-o", "apart.mp4", capsys=capsys)
    assert len(parts(ray)) == 1


@pytest.mark.parametrize("full", [("a",), ("a", "b")])
def test_a_full_disk_of_a_machine_sends_its_work_to_the_others(
    full: tuple[str, ...],
    ray: PretendedRay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short(tmp_path / "clips", 2)
    fetch = ray_unshared.Mirror.fetch

    def fill(self: Any, files: Any, context: Context) -> None:
        if ray.node in full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
        fetch(self, files, context)

    monkeypatch.setattr(ray_unshared.Mirror, "fetch", fill)
    stylize("clips", "-o", "out", status=0 if len(full) == 1 else 5, capsys=capsys)
    assert parts(ray) == ["a", "a", "b", "b"]  # both were on their way
    assert [row["state"] for row in outcomes("out")] == [["done"] * 2, ["failed"] * 2][len(full) - 1]


def test_one_clip_with_another_key_there_is_refused(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a file that a setting names is not there, or a program has another version."""
    short(tmp_path)
    fetch = ray_unshared.Mirror.fetch

    def alter(self: Any, files: Any, context: Context) -> None:
        fetch(self, files, context)
        write_clip(self.root / ray_unshared.path_in_mirror(tmp_path / "0.mp4"), moving_frames(4), sound=True)

    monkeypatch.setattr(ray_unshared.Mirror, "fetch", alter)
    told = stylize("0.mp4", status=1, capsys=capsys)
    assert "has another key" in told
    assert "\n" not in told.strip()


def test_a_part_is_a_run_of_chunks_that_are_missing(tmp_path: Path) -> None:
    clip = short(tmp_path)[0]
    recipe = render_recipe(None, {"rendering": {"chunk_frames": 1, "size": "32"}})
    request, context = StylizeRequest(clip, ("flower",), None, recipe), Context(device="cpu")
    whole = divide(request, context, 1, no_shared_disk=True)
    assert whole is not None
    assert whole.parts == [(0, 6)]
    whole.make_part(context, part=(0, 2))
    whole.make_part(context, part=(4, 5))
    rest = divide(request, context, 1, no_shared_disk=True)
    assert rest is not None
    assert rest.parts == [(2, 4), (5, 6)]
    assert divide(request, context, 4) is None
    assert {path.is_absolute() for path in rest.files} == {True}


def test_a_clip_that_is_gone_when_it_is_to_be_sent_fails_alone(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = short(tmp_path / "clips", 2)
    send = ray_unshared.InputFileStore.add

    def send_late(*arguments: Any) -> None:
        clips[0].unlink(missing_ok=True)
        send(*arguments)

    monkeypatch.setattr(ray_unshared.InputFileStore, "add", send_late)
    told = stylize("clips", "-o", "out", status=5, capsys=capsys)
    assert "cannot be sent to the cluster" in told
    assert [row["state"] for row in outcomes("out")] == ["failed", "done"]


def test_a_command_on_a_machine_of_another_kind_is_refused(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(cache_dir=tmp_path / "cache", device="cpu")
    describe_node = ray_unshared.describe_node
    monkeypatch.setattr(ray_unshared, "describe_node", lambda *a: describe_node(*a) | {"processor": "ABACUS"})
    with pytest.raises(UsageError, match="ABACUS"):
        ray_unshared.UnsharedRayExecutor(context, None, "")

    def no_gpu(*arguments: Any) -> Any:
        raise DeviceError("device", "none", "none")

    monkeypatch.setattr(ray_unshared, "describe_node", no_gpu)
    with pytest.raises(DeviceError, match="this machine, which divides and joins clips, has none"):
        ray_unshared.UnsharedRayExecutor(context, None, "")


def test_no_more_parts_run_than_were_asked_for(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = ray_unshared.UnsharedRayExecutor(Context(cache_dir=tmp_path / "cache", device="cpu"), 2, "")
    begun: list[Task] = []
    monkeypatch.setattr(executor._cluster, "submit", lambda task, report: begun.append(task))
    tasks = [Task(n, "part", lambda context: {}) for n in range(executor.slots)]
    for task in tasks:
        executor.submit(task, lambda event: None)
    assert executor.slots == 4
    assert begun == tasks[:2]
    executor.stop(130)
    assert [executor.receive(0)[0] for _ in range(2)] == tasks[2:]  # type: ignore[index]


def test_what_is_rendered_here_or_not_at_all_is_said(
    ray: PretendedRay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short(tmp_path)
    assert "rendered on this machine" in stylize("0.mp4", "--draft", 2, capsys=capsys)
    assert not parts(ray)
    (tmp_path / "none.mp4").write_bytes(b"no video")
    refuse(capsys, 3, "stylize", "none.mp4", "--model", "flower", *APART)
    flags = ("--no-shared-disk", "--executor", "auto")
    assert "runs on this machine only" in refuse(capsys, 2, "stylize", "0.mp4", "--model", "flower", *flags)


def test_mirrors_of_killed_commands_are_removed_and_those_of_living_ones_stay(
    ray: PretendedRay, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    left = there / f"{ray_unshared.MIRROR_PREFIX}gone"
    (left / "x").mkdir(parents=True)
    (left / "x.lock").touch()
    (there / f"{ray_unshared.MIRROR_PREFIX}begun").mkdir()  # just now: its lock comes
    (there / f"{ray_unshared.MIRROR_PREFIX}linked").symlink_to(tmp_path)
    living = ray_unshared.Mirror("living")
    ray_unshared.Mirror.of("new")
    assert sorted(p.name for p in there.iterdir()) == sorted(
        f"{ray_unshared.MIRROR_PREFIX}{name}" for name in ("begun", "linked", "living", "new")
    )
    living._lock.release()


def test_sending_a_large_clip_shows_how_far_it_is_and_can_be_stopped(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_unshared, "PIECE_BYTES", 1_000_000)
    clip = tmp_path / "clip"
    clip.write_bytes(bytes(2_500_000))
    context = Context(cache_dir=tmp_path / "cache", device="cpu")
    executor = ray_unshared.PartExecutor(context, None, "")
    seen: list[Event] = []

    def report(event: Event) -> None:
        seen.append(event)
        if len(seen) == 2:
            context.stop.request(130)

    division = replace(pretended_division("render", "0" * 64), files=[clip])
    task = Task(0, "part", lambda context: {}, part=(0, 1), division=division)
    executor.submit(task, report)
    assert seen == [Progress("sending files", done, 3, "MB") for done in (1, 2)]
    assert executor.receive(0) == (task, TaskResult("stopped"))
    assert not parts(ray)
    executor.close()


def test_a_chunk_of_several_pieces_comes_whole(ray: PretendedRay, tmp_path: Path) -> None:
    cache = Context(cache_dir=tmp_path / "cache").cache
    entry = cache.entry("render", "0" * 64)
    division = pretended_division(entry.stage, entry.key)
    entry.folder.mkdir(parents=True)
    inbox = ray_unshared.ChunkReceiver(cache)
    inbox.begin(1, division)
    inbox.write(1, ray_unshared.FilePiece("../chunk-000000.mp4", b"ab", is_last=False))
    assert not (entry.folder / "chunk-000000.mp4").exists()
    inbox.write(1, ray_unshared.FilePiece("chunk-000000.mp4", b"cd", is_last=True))
    assert (entry.folder / "chunk-000000.mp4").read_bytes() == b"abcd"
    inbox.write(1, ray_unshared.FilePiece("chunk-000001.mp4", b"ab", is_last=False))
    inbox.end(1)  # its machine is lost
    assert [p.name for p in entry.folder.iterdir()] == ["chunk-000000.mp4"]


def pretended_division(*entry: str) -> Any:
    return Division([(0, 1)], lambda context, part: {}, [entry])  # type: ignore[list-item]
