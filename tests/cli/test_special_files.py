"""Pipes, devices and sockets as inputs are refused in one line; a stop is heard while a file is read or waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from chain import refuse
from processes import at_most

import vidtrans as api
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.events import Stop, ignore_event
from vidtrans.store.cache import Cache

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

IDENTITY = ("--model", "identity")


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    with at_most():
        yield


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)  # a socket's whole path has 108 characters at most


MAKERS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": make_socket,
}
# Where an input may stand: the name that it has, and the command, with the exit status.
USES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "video": ("x.mp4", 3, ("stylize", "x.mp4", *IDENTITY)),
    "target": ("x.mp4", 3, ("make-dataset", "CLIP", "--pairing", "aligned", "--target", "x.mp4")),
    "picture": ("x.png", 3, ("stylize", "x.png", *IDENTITY)),
    "exr": ("x.exr", 3, ("stylize", "x.exr", *IDENTITY)),
    "mask": ("x.png", 3, ("stylize", "CLIP", *IDENTITY, "--mask", "x.png")),
    "cuts": ("x.txt", 2, ("stylize", "CLIP", *IDENTITY, "--cuts", "x.txt")),
    "model": ("x.safetensors", 3, ("stylize", "CLIP", "--model", "x.safetensors")),
    "preset": ("x.toml", 2, ("make-dataset", "CLIP", "--preset", "x.toml")),
    "list": ("x.toml", 2, ("stylize", "x.toml", *IDENTITY)),
    "project": ("vidtrans.toml", 2, ("make-dataset", "CLIP")),
    "source": ("x.mp4", 3, ("evaluate", "CLIP", "--source", "x.mp4")),
    "start": ("x.safetensors", 3, ("train", "DATASET", "--from", "x.safetensors")),
    "result": ("x.mp4", 2, ("stylize", "CLIP", *IDENTITY, "-o", "x.mp4")),
}


@pytest.mark.parametrize("use", USES)
def test_it_is_refused_wherever_a_file_may_stand(use: str, dataset_folder: Path, capsys: Capsys) -> None:
    name, status, command = USES[use]
    places = {"CLIP": dataset_folder / "clip.mp4", "DATASET": dataset_folder / "clip.dataset"}
    for make in MAKERS.values():
        make(Path(name))
        assert name in refuse(capsys, status, *(places.get(word, word) for word in command))
        Path(name).unlink()


def test_in_a_folder_it_is_passed_over(capsys: Capsys) -> None:
    for kind, make in MAKERS.items():
        for ending in (".mp4", ".png"):
            make(Path(kind + ending))
    assert "no pictures in this folder" in refuse(capsys, 3, "stylize", ".", *IDENTITY)


def test_a_pipe_in_the_place_of_a_batch_s_summary_is_not_waited_for(dataset_folder: Path, capsys: Capsys) -> None:
    os.mkfifo("vidtrans-batch.json")
    line = refuse(capsys, 2, "stylize", dataset_folder / "clip.mp4", *IDENTITY, "--retry-failed", "-o", ".")
    assert "there is no summary of an earlier run" in line


def test_a_pipe_in_the_place_of_an_output_s_record_is_no_record(dataset_folder: Path) -> None:
    api.stylize(dataset_folder / "clip.mp4", "identity", "out.mp4")
    [record] = Path(".vidtrans/outputs").iterdir()
    record.unlink()
    os.mkfifo(record)
    with pytest.raises(UsageError, match="it exists"):
        api.stylize(dataset_folder / "clip.mp4", "identity", "out.mp4")


def test_a_stop_is_heard_while_a_file_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.mp4").open("wb") as file:
        file.truncate(1 << 42)
    stop = Stop()
    cache = Cache(tmp_path / "cache", ignore_event, stop)
    stop.request(143)
    with pytest.raises(Interrupted):
        cache.digest(tmp_path / "huge.mp4")


def test_one_term_ends_a_process_that_reads_its_input(tmp_path: Path) -> None:
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate(1 << 42)  # no disk has to hold it; to read it takes an hour
    command = [sys.executable, "-m", "vidtrans", "stylize", str(huge), *IDENTITY]
    signal.alarm(120)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            wait_until_open(process.pid, huge)
            process.terminate()
            _, told = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 143
    assert b"stopped" in told


def wait_until_open(pid: int, path: Path) -> None:
    while True:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(link) == str(path):
                    return
        time.sleep(0.05)
