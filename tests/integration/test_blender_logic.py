"""The parts of Blender's add-on that need no Blender: options, lines, frames, places, jobs, the archive."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import tomllib
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vidtrans.commands.schema import schema_of

INTEGRATION = Path(__file__).resolve().parents[2] / "integrations" / "blender"
FAKE = Path(__file__).resolve().parents[1] / "support" / "fake_vidtrans.py"
sys.path.insert(0, str(INTEGRATION))
MODULES = ("movie_padding", "job_files", "jobs", "media_parts", "options", "programs")
movie_padding, job_files, jobs, media_parts, options, programs = (
    importlib.import_module(f"vidtrans_blender.{name}") for name in MODULES
)
UserError, MediaPart, StripTimes = options.UserError, media_parts.MediaPart, media_parts.StripTimes
posix = pytest.mark.skipif(os.name == "nt", reason="its program is a shell script")


def test_the_modules_without_blender_import_nothing_of_it_nor_of_vidtrans() -> None:
    line = f"import sys; sys.path.insert(0, {str(INTEGRATION)!r}); import importlib\n"
    line += f"[importlib.import_module('vidtrans_blender.' + one) for one in {MODULES!r}]\n"
    line += (
        "print({name.partition('.')[0] for name in sys.modules} & {'bpy', 'vidtrans', 'torch', 'numpy', 'filelock'})"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Options


def test_the_bundled_options_are_those_of_this_vidtrans_and_start_no_program() -> None:
    bundled = json.loads(options.BUNDLED.read_text(encoding="utf-8"))
    for command in programs.COMMANDS:
        schema = schema_of(command)
        fields = options.fields_of(schema)
        message = "run integrations/blender/make_interface.py"
        assert bundled["commands"][command] == json.loads(json.dumps(schema)), message
        for field in fields:
            assert schema["properties"][field.name]["x-access"] != "program"
            assert not any(word.startswith("ffmpeg") for word in field.choices)
        assert options.option_words(fields, defaults(fields)) == []  # what is left alone is not named


def defaults(fields: list[Any]) -> dict[str, Any]:
    """Return what Blender's properties hold before anybody touched them."""
    empty = {"bool": False, "enum": "UNSET", **options.UNSET}
    return {one.name: empty.get(one.kind, "") if one.default is None else one.default for one in fields}


def test_options_become_words_of_which_each_is_one_argument() -> None:
    fields = options.fields_of(schema_of("stylize"))
    values = defaults(fields) | {"strength": 0.30000001192, "keep_colour": 1.0, "keep_shading": 0.5, "draft": 3}
    values |= {"temporal": "off", "mask": "/a b/'m'; rm.mkv", "allow_damaged": True}
    words = options.option_words(fields, values)
    assert set(words) == {
        *("--strength=0.3", "--keep-colour", "--set=rendering.keep_shading=0.5", "--draft=3", "--temporal=off"),
        *("--mask=/a b/'m'; rm.mkv", "--allow-damaged"),
    }


def test_a_look_a_picture_and_a_model_are_named_differently_and_models_get_their_passes(tmp_path: Path) -> None:
    for name in ("oil.jpg", "m.safetensors"):
        (tmp_path / name).touch()
    words = options.model_words
    assert words("pencil", "") == ["--look=pencil"]
    assert words("identity", "") == ["--model=identity"]
    assert words("FILE", str(tmp_path / "oil.jpg")) == [f"--look={tmp_path / 'oil.jpg'}"]
    assert words("FILE", str(tmp_path / "m.safetensors")) == [f"--model={tmp_path / 'm.safetensors'}"]
    for path, message in (("", "no model is chosen"), ("gone.pt", r"gone\.pt: this model is not there")):
        with pytest.raises(UserError, match=message):
            words("FILE", path)
    with pytest.raises(UserError, match="no painted frames"):
        options.words_of("propagate", options.fields_of(schema_of("propagate")), {}, "pencil", "")
    given = (("stack", "AUTO"), ("labels", "AUTO"), ("", "AUTO"), ("stack", "COLOUR"))
    assert [options.model_input(*one) for one in given] == ["GUIDES", "LABELS", "COLOUR", "COLOUR"]


# Frames


def test_a_part_has_handles_that_end_with_the_file() -> None:
    times = StripTimes(5, 26, 55, 100)
    assert times.visible_part() == MediaPart(21, 50, 100)
    assert times.part_with_handles(5) == MediaPart(16, 55, 100)
    assert times.part_with_handles(60).is_whole
    assert times.start_of(MediaPart(16, 55, 100)) == 21
    assert StripTimes(5, -5, 3, 100).visible_part() == MediaPart(0, 1, 100)  # held before the first frame
    # Times are half a frame early, and left out at the ends.
    assert media_parts.time_words(MediaPart(16, 55, 100), 24.0) == ["--start=0.645833s", "--end=2.270833s"]
    assert media_parts.time_words(MediaPart(0, 100, 100), 24.0) == []


POINTS = [media_parts.RetimingPoint(*one) for one in ((5, 0), (25, 20), (35, 24), (45, 44), (100, 99))]


def test_a_retimed_strip_is_rendered_where_it_is_seen() -> None:
    for shown, trims, part in (
        ((10, 20), (8, 0), (10, 27)),
        ((48, 200), (0, 6), (44, 94)),
        ((-9, 3), (0, 0), (0, 3)),  # held before the first frame
    ):
        assert media_parts.retimed_part(POINTS, shown, trims, 100) == MediaPart(*part, 100)


def write_movie(path: Path, codec: str = "libx264", ticks: list[int] | None = None, rate: int = 24) -> None:
    """Write a movie whose frames are as bright as their number, with a sound, at times in 1/1000 s if any are given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(len(ticks) if ticks else 24):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), "rgb24")
            if ticks:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        container.mux([*sound.encode(samples), *sound.encode()])


def test_a_movie_of_a_part_takes_the_length_of_the_clip(tmp_path: Path) -> None:
    source, output = tmp_path / "part.mov", tmp_path / "padded.mov"
    write_movie(source, "prores_ks")
    movie_padding.pad_movie(source, output, 100, 50, Fraction(24))
    assert output.stat().st_size < source.stat().st_size + 60_000  # tables, no frames
    with av.open(str(output)) as container:
        assert [one.type for one in container.streams] == ["video"]
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (174, 24)
        shown = [(round(frame.time * 24), frame.to_ndarray(format="gray").mean()) for frame in container.decode(stream)]
    wanted = {at: 10 * min(max(at - 100, 0), 23) if at < 124 else 0 for at in range(174)}
    assert [at for at, _ in shown] == list(range(174))
    assert max(abs(value - wanted[at]) for at, value in shown) < 8


def test_times_in_milliseconds_have_a_constant_rate_and_held_frames_have_none(tmp_path: Path) -> None:
    source, output = tmp_path / "part.mp4", tmp_path / "padded.mp4"
    write_movie(source, ticks=[round(at * 1000 / 24) for at in range(12)])
    assert not movie_padding.has_variable_rate(source)
    other = source.with_suffix(".mkv")
    other.write_bytes(bytes(200))  # a file whose rate is not known here
    assert not movie_padding.has_variable_rate(other)
    movie_padding.pad_movie(source, output, 3, 0, Fraction(24))
    with av.open(str(output)) as container:
        assert [frame.time * 24 for frame in container.decode(video=0)] == [*range(15)]
    write_movie(source, ticks=[0, 40, 120, 160, 240])
    assert movie_padding.has_variable_rate(source)
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"no constant rate.*choose Whole Clip"):
        movie_padding.pad_movie(source, tmp_path / "other.mp4", 3, 0, Fraction(24))
    assert set(tmp_path.iterdir()) == before


# Places and programs


def search(monkeypatch: pytest.MonkeyPatch, path: str, home: Path) -> Path:
    """Search the program with a PATH and a user's folder."""
    for name in ("UV_TOOL_BIN_DIR", "XDG_BIN_HOME", "PIPX_BIN_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(Path, "home", lambda: home)
    found: Path = programs.find_program()
    return found


def test_the_program_is_found_on_the_path_and_where_tools_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    place = tmp_path / ".local" / "bin" / ("vidtrans.exe" if os.name == "nt" else "vidtrans")
    with pytest.raises(UserError, match="vidtrans is not installed — install it with: uv tool install vidtrans"):
        search(monkeypatch, "", tmp_path)
    place.touch()
    place.chmod(0o755)
    assert search(monkeypatch, "", tmp_path) == place
    assert search(monkeypatch, str(place.parent), Path("/nowhere")) == place
    with pytest.raises(UserError, match="not a program"):
        programs.find_program(str(tmp_path / "gone"))
    assert Path("/uv/vidtrans.exe") in programs.program_places({"UV_TOOL_BIN_DIR": "/uv"}, tmp_path, windows=True)


def test_no_program_of_the_folder_of_a_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is the working folder, as after a double click on a .blend."""
    for name in ("vidtrans", "vidtrans.exe", "tools/vidtrans", "tools/vidtrans.exe"):
        Path(name).parent.mkdir(exist_ok=True)
        script(Path(name), "echo strange")
    for path in (".", "", "tools"):
        for windows in (True, False):
            places = programs.program_places({"PATH": path}, tmp_path / "home", windows=windows)
            assert not any(place.is_file() for place in places)
        with pytest.raises(UserError, match="not installed"):
            search(monkeypatch, path, tmp_path / "home")


def script(path: Path, text: str) -> Path:
    """Write a program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@posix
def test_a_program_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    for text, message in (
        ("echo usage", "too old"),
        ("echo 'Error: disk is full' >&2; exit 2", "disk is full"),
        ("echo --job-folder", "another program"),
    ):
        with pytest.raises(UserError, match=f"^[^\n]*{message}[^\n]*$"):
            programs.ask_interface(script(tmp_path / "vidtrans", text))


# Jobs


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """Return a job that makes 40 frames in two seconds."""
    program = script(tmp_path / "vidtrans", f"exec '{sys.executable}' '{FAKE}' \"$@\"")
    (tmp_path / "source.mp4").touch()
    source, result = tmp_path / "source.mp4", tmp_path / "result.mp4"
    step = jobs.Step("Style", options.command_line(program, "stylize", [], source, result), str(tmp_path))
    return jobs.StripJob.create(tmp_path / "jobs" / "7", "clip: pencil", [step], {"kind": "MOVIE"}, result)


def wait(job: Any, *, frames: int = 0) -> None:
    """Wait until a job has made some frames; else until it ends."""
    for _ in range(1000):
        if frames and (job.files(0).progress().get("done") or 0) >= frames:
            return
        if not frames and job.state() is not jobs.JobState.RUNNING:
            return
        time.sleep(0.02)
    raise AssertionError(job.state())


@posix
def test_a_job_is_cancelled_and_goes_on_from_there(job: Any, tmp_path: Path) -> None:
    assert job.state() is jobs.JobState.WAITING
    job.start()
    wait(job, frames=3)
    share, text = job.progress()
    assert 0 < share < 1
    assert text.endswith("of 40 frames, 0:02 left")
    job.cancel()
    wait(job)
    assert job.state() is jobs.JobState.CANCELLED
    again = jobs.StripJob.read(job.folder)  # as another Blender finds it
    again.start()
    wait(again)
    assert again.state() is jobs.JobState.READY
    assert int((tmp_path / "starts.txt").read_text().split()[1]) >= 3
    again.change(inserted=True)
    assert [one.state() for one in jobs.jobs_in(tmp_path / "jobs")] == [jobs.JobState.INSERTED]


@posix
def test_a_job_lives_without_the_program_that_started_it_and_is_seen_to_die(job: Any) -> None:
    job.start()
    wait(job, frames=2)
    process = job._processes.pop(job.files(0).path)  # as after a restart of Blender
    assert job.state() is jobs.JobState.RUNNING
    assert job.files(0).is_locked()
    process.kill()
    process.wait()
    assert not job.files(0).is_locked()
    assert job.state() is jobs.JobState.INTERRUPTED


@posix
def test_a_job_that_lies_beside_a_strangers_file_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.StripJob, "key_file", tmp_path / "config" / "job.key")
    line = ("/bin/sh", "-c", f"touch '{tmp_path}/started'")
    step = jobs.Step("Style", line, str(tmp_path), is_vidtrans=False)
    own = jobs.StripJob.create(tmp_path / "jobs" / "1", "clip", [step], {}, tmp_path / "out.mp4")
    record = json.loads((own.folder / "job.json").read_text())
    for number, change in enumerate(
        ({"seal": ""}, {"seal": None}, {"steps": [record["steps"][0] | {"folder": "/"}]}), 2
    ):
        folder = tmp_path / "jobs" / str(number)
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps(record | change))
        with pytest.raises(UserError, match="not one that you have started here"):
            jobs.StripJob.read(folder).start()
    assert not (tmp_path / "started").exists()
    again = jobs.StripJob.read(own.folder)  # the key is that of the file
    again.start()
    wait(again)
    assert (tmp_path / "started").exists()
    assert (tmp_path / "config" / "job.key").stat().st_mode & 0o77 == 0


# The archive


def test_the_archive_is_an_extension(tmp_path: Path) -> None:
    from build import build

    archive = build(tmp_path)
    with zipfile.ZipFile(archive) as file:
        names, manifest = set(file.namelist()), tomllib.loads(file.read("blender_manifest.toml").decode())
    modules = {path.name for path in (INTEGRATION / "vidtrans_blender").glob("*.py")}
    assert names == {*modules, "blender_manifest.toml", "interface.json", "LICENSE"}
    assert (manifest["license"], manifest["type"]) == (["SPDX:GPL-3.0-or-later"], "add-on")
    assert build(tmp_path / "again").read_bytes() == archive.read_bytes()
