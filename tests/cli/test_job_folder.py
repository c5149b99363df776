"""The option ``--job-folder``, by which other programs watch and stop a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from vidtrans.cli.job_process import parse_job_folder
from vidtrans.cli.main import main

Capsys = pytest.CaptureFixture[str]


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([*map(str, words)])
    return int(str(end.value.code))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_result_and_end_are_those_of_the_command(clip: Path, capsys: Capsys) -> None:
    assert call("probe", clip, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert call("probe", clip, "--job-folder", "job") == 0
    assert capsys.readouterr().out == ""
    found = read(Path("job/result.json"))
    assert {k: v for k, v in found.items() if k not in ("seconds", "cached")} == {
        k: v for k, v in printed.items() if k not in ("seconds", "cached")
    }
    assert read(Path("job/end.json"))["exit_status"] == 0


@pytest.mark.parametrize("words", [["probe", "gone.mp4"], ["probed"], ["probe", "clip.mp4", "--no-such"]])
def test_every_mistake_has_an_end_and_its_message(words: list[str], clip: Path) -> None:
    assert (status := call(*words, "--job-folder=job")) in (2, 3)
    assert read(Path("job/end.json"))["exit_status"] == status == read(Path("job/result.json"))["exit_status"]
    assert read(Path("job/result.json"))["error"]


def test_words_after_two_dashes_are_no_options(clip: Path) -> None:
    clip.rename("-clip.mp4")
    assert call("probe", "--job-folder", "job", "--", "-clip.mp4") == 0
    assert read(Path("job/result.json"))["frames"] == 40
    assert call("probe", "--", "--job-folder") == 3  # a file of this name
    assert not Path("--job-folder").exists()


def test_a_folder_has_one_job_at_a_time(clip: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.cli.job_process.LOCK_TIMEOUT_S", 0.1)
    Path("job").mkdir()
    with FileLock("job/lock"):
        assert call("probe", clip, "--job-folder", "job") == 2
    assert "another job uses it — choose another folder" in capsys.readouterr().err
    assert not Path("job/end.json").exists()


def test_what_is_no_folder_of_a_job_is_refused_in_a_line_and_stays(clip: Path, capsys: Capsys) -> None:
    Path("mine").mkdir()
    Path("mine/result.json").write_text("mine", "utf-8")
    for name in ("end.json", "result.json", "pid"):
        (Path(f"with {name}") / name).mkdir(parents=True)
    for folder, says in (
        ("mine", "its result.json or end.json is not of a job — choose another folder"),
        ("clip.mp4", "choose another folder"),
        *((f"with {name}", "it cannot be written") for name in ("end.json", "result.json", "pid")),
    ):
        assert call("probe", clip, "--job-folder", folder) == 2
        assert says in capsys.readouterr().err
    assert Path("mine/result.json").read_text("utf-8") == "mine"
    Path("with pid/pid").rmdir()
    assert call("probe", clip, "--job-folder", "with pid") == 0  # the lock is free


def test_only_the_first_rank_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_job_folder(["train", "--job-folder", "job"]) == Path("job")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert parse_job_folder(["train", "--job-folder", "job"]) is None


def test_a_file_stops_a_job_which_then_goes_on_to_the_same_bytes(clip: Path, tiny_model: Path) -> None:
    words = ["stylize", clip, "--model", tiny_model, "--set", "chunk_frames=2", "--device", "cpu", "--end", "8"]
    Path("job").mkdir()
    Path("job/stop").touch()
    assert call(*words, "-o", "a.mp4", "--job-folder", "job") == 130
    assert read(Path("job/end.json"))["exit_status"] == 130
    error = read(Path("job/result.json"))["error"]
    assert "to continue: vidtrans stylize" in error
    assert "--job-folder" not in error
    assert not Path("a.mp4").exists()
    Path("job/stop").unlink()
    assert call(*words, "-o", "a.mp4", "--job-folder", "job") == 0
    assert read(Path("job/progress.json"))["task"]
    assert call(*words, "-o", "b.mp4", "--cache-dir", "other") == 0
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()
