"""Disks that are full or fail: one line is told, nothing is half-written, and the same command goes on.

Here faults are made in this process; ``benchmarks/robustness/faults/writes.py`` makes them below the C library, at
every write.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import TINY, said, snapshot, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.cli.main import run
from vidtrans.core.errors import DISK_REMEDIES, describe_error
from vidtrans.core.files import copy, write_atomically
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

Patch = pytest.MonkeyPatch
Capsys = pytest.CaptureFixture[str]

CALLS = ((os, "fsync"), (os, "replace"), (Path, "write_bytes"), (Path, "mkdir"))
TRAINING = (
    *tiny_flags("generator", "discriminator", "training"),
    *("--set=training.steps=2", "--set=training.preview_seconds=0"),
)
RENDERING = tiny_flags("rendering")
STAGES: dict[str, tuple[list[str], str]] = {
    "make-dataset": (["make-dataset", "clip.mp4", *tiny_flags("dataset")], "clip.dataset"),
    "train": (["train", "clip.dataset", *TRAINING], "clip.safetensors"),
    "stylize": (["stylize", "clip.mp4", "--model", "MODEL", "-o", "out.mp4", *RENDERING], "out.mp4"),
}


class Disk:
    """Fails at write ``at`` of this process, and, unless ``once``, at all that follow. Counts them."""

    def __init__(self, patch: Patch) -> None:
        self.writes = self.at = 0
        self.number, self.once = errno.ENOSPC, False
        for owner, name in CALLS:
            patch.setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            if call.__name__ == "mkdir" and arguments[0].is_dir():  # nothing to write
                return call(*arguments, **named)
            self.writes += 1
            if self.at and (self.writes == self.at or (self.writes > self.at and not self.once)):
                raise OSError(self.number, os.strerror(self.number))
            return call(*arguments, **named)

        return watched

    @contextmanager
    def failing(self, at: int, number: int) -> Iterator[None]:
        self.writes, self.at, self.number, self.once = 0, at, number, number == errno.EIO
        yield
        self.at = 0


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes: a fault that FFmpeg meets too."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


FORM = PictureFormat(256, 256, Fraction(1), Fraction(1, 25), Fraction(25))


def partials(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if ".partial" in p.name or ".replaced" in p.name]


def noise() -> np.ndarray:
    """A picture that no encoder makes small."""
    return np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip and its dataset."""
    folder = tmp_path_factory.mktemp("start")
    clip = write_clip(folder / "clip.mp4", moving_frames(12), sound=True)
    api.make_dataset(clip, folder / "clip.dataset", settings={"dataset": TINY["dataset"]}, cache_dir=folder / "cache")
    return folder


@pytest.mark.parametrize("stage", list(STAGES))
@pytest.mark.usefixtures("one_thread")
@pytest.mark.thorough
def test_a_write_that_fails_is_one_line_and_the_same_command_goes_on(
    stage: str,
    start: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: Patch,
    capsys: Capsys,
) -> None:
    command = [str(tiny_model) if a == "MODEL" else a for a in STAGES[stage][0]] + ["-q"]
    output = STAGES[stage][1]

    def begin(name: str) -> Path:
        """Go to a folder with what the command needs."""
        left_out = shutil.ignore_patterns("cache", *([] if stage == "train" else ["clip.dataset"]))
        folder = Path(shutil.copytree(start, tmp_path / name, ignore=left_out))
        monkeypatch.chdir(folder)
        return folder

    def made(folder: Path) -> dict[str, bytes]:
        return {name: data for name, data in snapshot(folder).items() if name.split("/")[0] == output}

    folder = begin("clean")
    disk = Disk(monkeypatch)
    said(capsys, 0, *command)
    total, wanted = disk.writes, made(folder)
    assert wanted
    # A full disk, a broken one, and folders that only others, or nobody, may write to.
    faults = [(errno.ENOSPC, total // 3), (errno.ENOSPC, total - 1), (errno.EIO, 2 * total // 3), (errno.EACCES, 1)]
    for number, at in faults:
        folder = begin(f"{number}-{at}")
        with disk.failing(at, number):
            status = run(command)
        told = capsys.readouterr().err
        line = rf"error: .*{re.escape(os.strerror(number).lower())}.* — .*\n"
        # What may fail without harm does.
        assert status == 0 or (status == 1 and re.fullmatch(line, told, re.IGNORECASE)), told
        assert ".partial" not in told
        assert made(folder) in ({}, wanted)
        assert partials(folder) == []
        again = said(capsys, 0, *command)
        assert "damaged" not in again
        assert made(folder) == wanted, at


def test_a_folder_copied_from_another_disk_is_all_there_or_not_at_all(tmp_path: Path) -> None:
    made, target = tmp_path / "made", tmp_path / "clip.dataset"
    (made / "clip").mkdir(parents=True)
    for number, size in enumerate((100, 60_000)):
        (made / "clip" / f"{number}.png").write_bytes(bytes(size))
    with files_up_to(30_000), pytest.raises(OSError, match="large") as raised, write_atomically(target) as temporary:
        copy(made, temporary)
    assert describe_error(raised.value) == (f"{target}: file too large — {DISK_REMEDIES[errno.EFBIG]}", 1)
    assert not partials(tmp_path)
    assert not target.exists()
    with write_atomically(target) as temporary:
        copy(made, temporary)
    assert snapshot(target) == snapshot(made)


def test_a_result_that_outgrows_the_disk_is_no_fault_of_its_container(tmp_path: Path) -> None:
    with closing(SegmentWriter(tmp_path / "s.nut", FORM, EncodingSettings(codec="ffv1"))) as writer:
        for number in range(4):
            writer.write(noise(), number)
    timing = Timing(list(range(4)), [1] * 4, Fraction(1, 25))
    target = tmp_path / "out.mkv"
    with pytest.raises(OSError, match="too large") as told, files_up_to(1 << 16), write_atomically(target) as temporary:
        join([tmp_path / "s.nut"], timing, temporary)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(target))
    assert partials(tmp_path) == []


@pytest.mark.usefixtures("one_thread")
def test_a_checkpoint_that_outgrows_the_disk_is_told_in_one_line(start: Path, capsys: Capsys) -> None:
    """torch keeps the system's number to itself."""
    shutil.copytree(start / "clip.dataset", "clip.dataset")
    with files_up_to(1 << 15):
        told = said(capsys, 1, "train", "clip.dataset", *TRAINING, "-q")
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert partials(Path()) == []


def test_an_exported_program_that_outgrows_the_disk_does_not_end_the_process(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_up_to(1000):
        line = said(capsys, 1, "model", "export", tiny_model, "--format", "torchscript", "-o", "m.pt")
    assert "m.pt: file too large" in line
    assert not Path("m.pt").exists()
