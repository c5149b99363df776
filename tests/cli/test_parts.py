"""``stylize --chunk`` and ``--join``: parts of a clip by processes that share nothing but a cache."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pretended_nfs
import pytest
from chain import refuse, said, said_json, vidtrans
from clips import moving_frames, write_clip
from directed_clip import lossless
from processes import Started

import vidtrans as api
from vidtrans.core.machine import device_kind
from vidtrans.rendering import parts as divided

Capsys = pytest.CaptureFixture[str]

CLIP, FRAMES = Path("clip.mp4"), 40
IDENTITY = ("--model", "identity")
SMALL = ("--set", "rendering.chunk_frames=6")
RENDER = ("stylize", CLIP, *IDENTITY, "-o", "out.mp4", *SMALL)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip, encoded once: an encoder may not give the same bytes twice."""
    return write_clip(tmp_path_factory.mktemp("source") / CLIP, moving_frames(FRAMES))


@pytest.fixture(autouse=True)
def clip(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(source, CLIP)


@pytest.fixture(scope="module")
def whole(source: Path) -> bytes:
    output = source.with_name("out.mp4")
    vidtrans("stylize", source, *IDENTITY, "-o", output, *SMALL, "--cache-dir", source.with_name("cache"))
    return output.read_bytes()


def test_parts_in_any_order_are_joined_to_the_bytes_of_a_whole_render(capsys: Capsys) -> None:
    lossless(Path("cut.mkv"), [*moving_frames(14), *[255 - frame for frame in moving_frames(9)]])
    filtered = ("--temporal", "window", *SMALL)
    render = ("stylize", "cut.mkv", *IDENTITY, "-o", "out.mp4", *filtered)
    tables = [said_json(capsys, *render, "--chunk", f"{n}/3") for n in (3, 1, 2)]
    assert sum(table["frames"] for table in tables) == said_json(capsys, "probe", "cut.mkv")["frames"]
    assert [table["chunks_missing"] for table in tables][-1] == 0
    joined = said_json(capsys, *render, "--join")
    assert (joined["frames_inferred"], joined["frames_encoded"]) == (0, 0)
    vidtrans(*render[:4], "-o", "whole.mp4", *filtered, "--cache-dir", "elsewhere")
    assert Path("out.mp4").read_bytes() == Path("whole.mp4").read_bytes()
    assert said_json(capsys, *render, "--join")["cached"]
    assert said_json(capsys, *render, "--chunk", "2/3")["cached"]


def test_the_part_that_ends_last_joins_all(whole: bytes, capsys: Capsys) -> None:
    planned = said_json(capsys, *RENDER, "--chunk", "2/3", "--dry-run")
    assert (planned["frames"], planned["dry_run"], planned["part"]) == (12, True, "2/3")
    assert not Path(".vidtrans").exists()
    words = said(capsys, 0, *RENDER, "--chunk", "2-3/3", "--join")
    assert "part 2-3/3: 22 frames" in words
    assert "3 chunks of the clip are missing" in words
    assert "frames 0–17 of 40 are not rendered" in refuse(capsys, 1, *RENDER, "--join")
    assert not Path("out.mp4").exists()
    again = said_json(capsys, *RENDER, "--chunk", "3/3")
    assert (again["cached"], again["frames_encoded"]) == (True, 0)
    tables = [said_json(capsys, *RENDER, "--chunk", f"{n}/9") for n in range(8, 10)]  # more than there are chunks
    assert [table["cached"] for table in tables] == [True, True]
    options: Any = {"settings": {"rendering": {"chunk_frames": 6}}, "chunk": "1/3", "join": True}
    table = api.stylize(CLIP, "identity", "out.mp4", **options)
    assert (table["frames"], table["frames_encoded"], table["part"]) == (40, 18, "1/3")
    assert Path("out.mp4").read_bytes() == whole


def test_a_damaged_part_is_found_when_the_parts_are_joined(whole: bytes, capsys: Capsys) -> None:
    vidtrans(*RENDER, "--chunk", "1-2/2")
    chunk = next(Path(".vidtrans/render").rglob("chunk-000001.*[!n]"))
    chunk.write_bytes(b"damaged")
    assert "frames 6–11 of 40 are not rendered" in said(capsys, 1, *RENDER, "--join")
    vidtrans(*RENDER, "--chunk", "1/2", "--join")
    assert Path("out.mp4").read_bytes() == whole


@pytest.mark.thorough
def test_what_another_host_rendered_is_seen_on_a_file_server_that_said_it_is_absent(
    whole: bytes, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    vidtrans(*RENDER, "--chunk", "1/2")
    pretended_nfs.pretend(monkeypatch, "*")
    assert "are not rendered" in said(capsys, 1, *RENDER, "--join")
    assert Started.vidtrans(*RENDER, "--chunk", "2/2").wait() == 0
    joined = said_json(capsys, *RENDER, "--join")
    assert (joined["cached"], joined["frames_encoded"]) == (False, 0)
    assert Path("out.mp4").read_bytes() == whole


def test_a_worker_that_differs_is_refused_by_name(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    vidtrans(*RENDER, "--chunk", "1/2")
    part = (*RENDER, "--chunk", "2/2")
    with monkeypatch.context() as patch:
        patch.setattr(divided, "processor", lambda device: "ABACUS")
        for more in ((), ("--overwrite",)):  # their chunks are never joined
            assert "and this is ABACUS" in refuse(capsys, 2, *part, *more, dry_run=False)
    terms = divided.ChunkManifest.terms
    monkeypatch.setattr(divided.ChunkManifest, "terms", lambda self: terms(self) | {"threads": "64"})
    error = refuse(capsys, 2, *part)
    for words in ("with threads ", "here it is 64", "--overwrite"):
        assert words in error
    vidtrans(*part, "--overwrite")


def test_another_model_under_the_same_name_and_other_options_are_refused(capsys: Capsys) -> None:
    vidtrans(*RENDER, "--chunk", "1/2")
    assert "with other options" in refuse(capsys, 2, *RENDER, "--chunk", "2/2", "--strength", "0.5")
    write_clip(CLIP, moving_frames(FRAMES)[::-1])
    assert "with another source" in refuse(capsys, 2, *RENDER, "--chunk", "2/2")
    vidtrans(*RENDER, "--chunk", "1-2/2", "--join", "--overwrite")
    write_clip(CLIP, moving_frames(FRAMES))
    vidtrans(*RENDER, "--chunk", "1-2/2", "--join", "--overwrite")  # a joined result binds nobody
    Path("out.mp4").unlink()
    vidtrans(*RENDER, "--strength", "0.5", "--chunk", "1/2")


def test_what_has_no_parts_is_refused(capsys: Capsys) -> None:
    for options, why in (
        (("--chunk", "4/3"), "not a part of a clip"),
        (("--chunk", "1/2", "--jobs", "2"), "this process renders one part of the clip itself"),
        (("--chunk", "1/2", "--draft", "2"), "measured over the whole clip"),
        (("--chunk", "1/2", "--score"), "measured over the whole clip"),
        (("--join", "--shard", "1/2"), "they are for one clip"),
    ):
        assert why in refuse(capsys, 2, *RENDER, *options)


def test_printed_commands_render_clips_with_the_options_that_were_given(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("clips").mkdir()
    for name in ("a b.mp4", "c.mp4"):
        write_clip(Path("clips", name), moving_frames(14))
    monkeypatch.setenv("VIDTRANS_STYLIZE_STRENGTH", "0.5")
    options = ("--model=identity", *SMALL, "--codec", "ffv1", "--jobs", "2", "-q")
    lines = said(capsys, 0, "stylize", "clips", *options, "-o", "renders/", "--print-jobs", "commands").splitlines()
    assert len(lines) == 4
    assert not Path("renders").exists()
    for line in lines:
        assert "--strength 0.5" in line
        assert "--print-jobs" not in line
        assert "--jobs" not in line
        _, _, command = line.partition(" vidtrans ")
        vidtrans(*shlex.split(command))
    assert sorted(path.name for path in Path("renders").iterdir()) == ["a b.identity.mkv", "c.identity.mkv"]
    assert said_json(capsys, "stylize", "clips/c.mp4", *options[:-3], "-o", "renders/c.identity.mkv")["cached"]


def test_a_printed_job_is_one_object_with_json(capsys: Capsys) -> None:
    table = said_json(capsys, *RENDER, "--print-jobs", "openjd", "--jobs", "3")
    assert (table["format"], table["clips"], table["parts"]) == ("openjd", 1, 3)
    assert "specificationVersion" in table["job"]
    Path("list.toml").write_text('[[clips]]\nsource = "clip.mp4"\nmodel = "identity"\n')
    assert "--print-jobs" in refuse(capsys, 2, "stylize", "list.toml", "--print-jobs", "json")
    assert "did you mean 'slurm'" in refuse(capsys, 2, *RENDER, "--print-jobs", "slrum")
    Path("out.mp4").write_bytes(b"something else")
    assert "it exists" in refuse(capsys, 2, *RENDER, "--print-jobs", "slurm")


def test_what_is_for_the_printing_command_alone_is_not_printed(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDTRANS_STYLIZE_JOBS", "3")
    monkeypatch.setenv("VIDTRANS_STYLIZE_STRENGTH", "0.5")
    write_clip(Path("-x.mp4"), moving_frames(12))
    options = (*IDENTITY, *SMALL, "--score", "--dry-run", "-qo", "-y.mp4", "--print-jobs")
    job = json.loads(said(capsys, 0, "stylize", *options, "json", "--", "-x.mp4"))
    [clip] = job["clips"]
    given = (*IDENTITY, "--strength", "0.5", *SMALL, "--quiet", "./-x.mp4", "-o", "./-y.mp4")
    assert clip["part"][2:] == [*given, "--chunk", "{part}/2"]
    assert clip["join"][-2:] == ["--join", "--score"]
    assert set(job["environment"]) == ({"OMP_NUM_THREADS"} if device_kind("auto") == "cpu" else set())
    assert not Path(".vidtrans").exists()
    assert "whole clips" in refuse(capsys, 2, *RENDER, "--print-jobs", "json", "--chunk", "1/2")
    sharded = ("stylize", CLIP, *IDENTITY, "-o", "renders", "--shard", "2/2")
    assert "no clip in it" in refuse(capsys, 2, *sharded, "--print-jobs", "json")


def test_a_joined_result_is_scored_when_its_chunks_are_gone(capsys: Capsys) -> None:
    vidtrans(*RENDER, "--chunk", "1-2/2", "--join")
    vidtrans("cache", "clean", "--stage", "render")
    assert "score" in said_json(capsys, *RENDER, "--join", "--score")
