"""``--beside`` of ``stylize``, ``deflicker`` and ``propagate``: each result lies in the folder of its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import refuse, vidtrans, vidtrans_json
from clips import moving_frames, write_clip, write_folder

Capsys = pytest.CaptureFixture[str]
AS_IT_IS = ("--model", "identity", "--beside")


@pytest.fixture(autouse=True)
def clips() -> None:
    for name in ("one/a.mp4", "one/b.mp4", "two/a.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        write_clip(Path(name), moving_frames(3))


def files() -> list[str]:
    return sorted(p.as_posix() for p in Path().rglob("*.mp4") if not p.as_posix().startswith("."))


def test_a_clips_result_lies_beside_it() -> None:
    assert vidtrans_json("stylize", "one/a.mp4", *AS_IT_IS)["output"] == str(Path("one/a.identity.mp4"))
    assert vidtrans_json("stylize", "one/a.mp4", *AS_IT_IS)["cached"]


def test_results_of_many_clips_lie_beside_theirs_and_are_no_sources_of_the_next_run() -> None:
    for _ in range(2):
        vidtrans("stylize", "one", "two", *AS_IT_IS)
        results = ["one/a.identity.mp4", "one/b.identity.mp4", "two/a.identity.mp4"]
        assert files() == sorted(["one/a.mp4", "one/b.mp4", "two/a.mp4", *results])


def test_the_result_of_a_folder_of_pictures_lies_beside_the_folder() -> None:
    vidtrans("stylize", "one/a.mp4", "--model", "identity", "-o", "one/shot/%03d.png")
    for source in ("one/shot", "one/shot/%03d.png"):
        table = vidtrans_json("stylize", source, *AS_IT_IS, "--dry-run")
        assert Path(table["output"]).parts[:2] == ("one", "shot.identity")


def test_two_places_for_one_result_are_refused(capsys: Capsys) -> None:
    why = "--beside and -o: both say where results go"
    assert why in refuse(capsys, 2, "stylize", "one/a.mp4", *AS_IT_IS, "-o", "x.mp4")
    Path("list.toml").write_text("[[clip]]\nvideo = 'one/a.mp4'\n")
    assert "--beside and a list of clips" in refuse(capsys, 2, "stylize", "list.toml", "--beside")


def test_jobs_name_the_places() -> None:
    printed = vidtrans("stylize", "one", *AS_IT_IS, "--print-jobs", "commands").stdout
    assert "one/a.identity.mp4" in printed
    assert "--beside" not in printed


@pytest.fixture
def paintings() -> None:
    for name in ("keys/a", "keys/b"):
        write_folder(Path(name), moving_frames(1), ["000001.png"])


ALIKE = [
    ("deflicker", [], "deflickered"),
    ("propagate", ["--keyframes", "keys", "--minutes", "0"], "painted"),
]


@pytest.mark.usefixtures("paintings")
@pytest.mark.parametrize(("command", "options", "name"), ALIKE, ids=[each[0] for each in ALIKE])
def test_other_renders_lie_beside_their_sources_as_well(
    command: str, options: list[str], name: str, capsys: Capsys
) -> None:
    one = ["--keyframes", "keys/a", *options[2:]] if options else []
    assert vidtrans_json(command, "two/a.mp4", "--beside", *one)["output"] == str(Path(f"two/a.{name}.mp4"))
    for cached in (False, True):
        table = vidtrans_json(command, "one", "two", "--beside", *options)
        results = [f"one/a.{name}.mp4", f"one/b.{name}.mp4", f"two/a.{name}.mp4"]
        assert [Path(item["output"]).as_posix() for item in table["items"]] == results
        assert (table["cached"], table["output"]) == (cached, None)
    assert files() == sorted(["one/a.mp4", "one/b.mp4", "two/a.mp4", *results])
    refused = refuse(capsys, 2, command, "two/a.mp4", "--beside", "-o", "x.mp4", *one)
    assert "--beside and -o: both say where results go" in refused
