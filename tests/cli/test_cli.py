"""The command line as a person meets it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from chain import vidtrans, vidtrans_json

from vidtrans.cli.main import cli, run
from vidtrans.pairing import PAIRINGS

Capsys = pytest.CaptureFixture[str]
HEAVY = ("torch", "cv2", "av", "skimage", "numpy", "rich", "safetensors")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom vidtrans.cli.main import run\nrun(['--help-all'])\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for name, summary in cli.help_lines().items():
        assert name in done.stdout
        assert summary in done.stdout
        assert "Usage: vidtrans" in vidtrans(name, "--help").stdout


def test_help_shows_the_defaults_in_force(capsys: Capsys) -> None:
    run(["make-dataset", "--help"])
    text = capsys.readouterr().out
    assert f"NAME: {', '.join(PAIRINGS)}." in " ".join(text.split())
    assert "[default: 384]" in text
    Path("vidtrans.toml").write_text('[dataset]\nsize = "640x360"\n[encoding]\ncodec = "ffv1"\n')
    run(["make-dataset", "--help"])
    assert "640x360" in capsys.readouterr().out
    run(["stylize", "--help"])
    assert "[default: ffv1]" in capsys.readouterr().out


def test_variables_stand_for_flags_and_flags_win(clip: Path) -> None:
    variables = {"VIDTRANS_MAKE_DATASET_SIZE": "24", "VIDTRANS_CACHE_DIR": "elsewhere"}
    for name, more, size in (("a", (), "24"), ("b", ("--size", "32"), "32")):
        vidtrans("make-dataset", clip, "-o", f"{name}.dataset", *more, env=variables)
        assert json.loads(Path(f"{name}.dataset/dataset.json").read_text())["size"] == size
    assert Path("elsewhere/CACHEDIR.TAG").is_file()
    assert not Path(".vidtrans").exists()


def test_presets_and_the_cache_can_be_looked_at(clip: Path) -> None:
    assert "pix2pix" in vidtrans("preset", "list").stdout
    Path("models").mkdir()
    Path("models/look.safetensors").write_bytes(b"")
    assert {"look", "identity"} <= set(vidtrans_json("model", "list")["models"])
    costs = vidtrans_json("preset", "list")["costs"]
    assert vidtrans_json("preset", "show", "edges")["cost"] == costs["edges"] != ""
    shown = vidtrans("preset", "show", "edges").stdout
    assert "# " in shown
    Path("mine.toml").write_text(shown)
    vidtrans("make-dataset", clip, "--preset", "mine.toml")
    held = vidtrans_json("cache", "list")
    assert {e["stage"] for e in held["entries"]} == {"index", "dataset"}
    vidtrans("cache", "clean", "--stage", "index")
    assert {e["stage"] for e in vidtrans_json("cache", "list")["entries"]} == {"dataset"}
    assert vidtrans_json("cache", "clean")["deleted"] == 1
    assert Path("clip.dataset/dataset.json").is_file()


def test_models_are_found_by_name_in_the_models_folder(clip: Path) -> None:
    assert "identity" in vidtrans("model", "list").stdout
    Path("models").mkdir()
    Path("models/look.safetensors").write_bytes(b"")
    assert "look" in vidtrans_json("model", "list")["models"]
    assert "identity" in vidtrans("model", "show", "identity").stdout


@pytest.mark.parametrize("step", ["make-dataset", "stylize"])
def test_a_full_disk_is_one_line_and_freeing_it_is_enough(
    step: str, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    arguments = {"make-dataset": ["make-dataset", str(clip)], "stylize": ["stylize", str(clip), "--model", "identity"]}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("vidtrans.data.making.sync_file", full)
        patched.setattr("vidtrans.core.files.sync_file", full)
        assert run(arguments[step]) == 1
    captured = capsys.readouterr()
    assert "no space left" in captured.err
    assert "free some space" in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert [p.name for p in Path().iterdir() if p.name != ".vidtrans"] == [clip.name]
    assert run(arguments[step]) == 0


def test_json_goes_alone_to_standard_output_and_quiet_is_quiet(clip: Path) -> None:
    done = vidtrans("stylize", clip, "--model", "identity", "--json")
    assert len(done.stdout.splitlines()) == 1
    assert {"output", "frames", "seconds", "cached"} <= set(json.loads(done.stdout))
    done = vidtrans("stylize", clip, "--model", "identity", "-q", "-o", "quiet.mp4")
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_result_that_cannot_be_told_is_one_line_and_a_log_that_cannot_takes_no_job_along(clip: Path) -> None:
    done = told_into("/dev/full", None, "probe", clip, "--json")
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output: no space left on device — ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert told_into(None, "/dev/full", "probe", clip).returncode == 0


def told_into(out: str | None, err: str | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    with ExitStack() as stack:
        where = [stack.enter_context(open(path, "w")) if path else subprocess.PIPE for path in (out, err)]
        command = [sys.executable, "-m", "vidtrans", *map(str, arguments)]
        return subprocess.run(command, stdout=where[0], stderr=where[1], text=True, timeout=300)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("my clip.mp4", ["vidtrans stylize 'my clip.mp4' --look oil", "vidtrans deflicker 'my clip.mp4'"]),
        ("painting.jpg", ["vidtrans stylize CLIP --look painting.jpg"]),
        ("mine.safetensors", ["vidtrans stylize CLIP --model mine.safetensors"]),
    ],
)
def test_a_file_alone_shows_what_can_be_done_with_it(name: str, lines: list[str]) -> None:
    Path(name).touch()
    printed = vidtrans(name).stdout
    assert printed.startswith(f"With {name} you can:\n")
    assert [line for line in lines if line not in printed] == []


def test_american_spellings_are_accepted(clip: Path) -> None:
    for words in (["--look", "watercolor"], ["--look=watercolor"], ["--look", "colored-pencil"]):
        vidtrans("stylize", clip, *words, "--mask", "color:#00ff00", "--keep-color", "--dry-run")
    vidtrans("stylize", clip, "--look", "watercolor", "--end", "1", "-o", "watercolor.mp4")
    assert Path("watercolor.mp4").is_file()  # Names of files are kept
