"""``stylize --look PICTURE`` without a model: the look of any picture, or of the clip itself, at once."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames, scene, times
from directed_clip import lossless, same
from paintings import write
from style_pictures import style_pictures, write_style_pictures

from vidtrans.cli.main import run
from vidtrans.config.recipe import render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.system import WINDOWS
from vidtrans.models.at_once import model_at_once
from vidtrans.models.loaded_model import load_model
from vidtrans.models.look_pictures import NamedPictures, parse_pictures
from vidtrans.session import Context
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.stylize_request import StylizeRequest
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
# What is mended in a shot depends on all of its looks.
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lossless(tmp_path / "source.mkv", moving_frames(8, (96, 64)))


@pytest.fixture
def paintings(tmp_path: Path) -> tuple[Path, Path]:
    return write_style_pictures(tmp_path)


def test_pictures_are_looks_at_once_are_mixed_and_follow_each_other(
    source: Path, paintings: tuple[Path, Path], capsys: Capsys
) -> None:
    one, other = paintings
    made = {}
    for name, look in (
        ("one", str(one)),
        ("other", str(other)),
        ("half", f"{one}: 1, {other}: 1"),
        ("in turn", f"0: {one}, 7: {other}"),
    ):
        table = said_json(capsys, "stylize", source, "--look", look, *SMALL, "-o", "o.mkv", "--overwrite")
        assert (table["frames"], times(Path("o.mkv"))) == (8, times(source))
        made[name] = np.stack(decode(Path("o.mkv"))[2]).astype(int)
    assert said_json(capsys, "stylize", source, "--look", look, *SMALL, "-o", "o.mkv")["cached"]
    frames = np.stack(decode(source)[2]).astype(int)
    assert min(np.abs(made[name] - frames).mean() for name in ("one", "other")) > 15
    apart = np.abs(made["one"] - made["other"]).mean()
    assert apart > 15
    for end in ("one", "other"):
        assert 0.1 * apart < np.abs(made["half"] - made[end]).mean() < 0.95 * apart
    assert same(list(made["in turn"][:1]), list(made["one"][:1]), within=3)
    assert same(list(made["in turn"][-1:]), list(made["other"][-1:]), within=3)


def test_what_is_no_picture_is_refused(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    assert "no such picture" in said(capsys, 2, "stylize", source, "--look", "absent.jpg", "-o", "o.mkv")
    Path("text.png").write_text("no picture")
    assert "--look text.png" in said(capsys, 3, "stylize", source, "--look", "text.png", "-o", "o.mkv")
    for shares in (f"{paintings[0]}: -1, {paintings[1]}: 1", f"{paintings[0]}: much", f"{paintings[0]}: 0"):
        with pytest.raises(UsageError, match="share"):
            parse_pictures(shares)
    assert "no model" in said(capsys, 2, "stylize", source, "-o", "o.mkv")


def test_looks_are_named_by_their_pictures(tmp_path: Path, paintings: tuple[Path, Path]) -> None:
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "stripes.png"
    other.write_bytes(paintings[1].read_bytes())
    found = parse_pictures(f"0: {paintings[0]}, 2s: {other}, 4s: {paintings[0]}")
    assert list(found.looks) == ["stripes", "stripes-2"]
    assert found.value == "0: stripes, 2.0s: stripes-2, 4.0s: stripes"
    many = ", ".join(f"{painting}: 1" for painting in paintings * 20)  # longer than a file's name may be
    assert parse_pictures(many).value == "+".join(["stripes", "chequers"] * 20)
    long = NamedPictures({"\u7d75" * 45: (), "\u753b" * 45: ()}, "")
    assert len(long.name.encode()) <= 80


@pytest.mark.thorough
def test_several_processes_make_one_model(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    Path("clips").mkdir()
    for number in range(4):
        Path(f"clips/{number}.mkv").write_bytes(source.read_bytes())
    table = said_json(capsys, "stylize", "clips", "--look", paintings[0], *SMALL, "-o", "out/", "--jobs", "2")
    assert (len(table["items"]), table["failed"]) == (4, {})
    assert len(list(Path(".vidtrans/at-once").iterdir())) == 1


@pytest.mark.thorough
def test_a_look_is_painted_at_its_sources_size_up_to_720_lines(paintings: tuple[Path, Path], capsys: Capsys) -> None:
    sizes = {"small": (96, 64), "hd": (1280, 720), "uhd": (2560, 1440)}
    for name, (width, height) in sizes.items():
        write_picture(Path(f"{name}.png"), scene(width, height, 1))
    wanted = {"small": [96, 64], "hd": [1280, 720], "uhd": [1280, 720]}
    looks = load_model(str(model_at_once(parse_pictures(str(paintings[0])), Context()).path), Context())
    found = {name: list(looks.working_size("auto", size)) for name, size in sizes.items()}
    assert found == wanted
    assert looks.working_size("trained", sizes["uhd"]) == (512, 288)
    table = said_json(capsys, "stylize", "hd.png", "--look", paintings[0], "--dry-run")
    assert (table["working_size"], table["trained_size"]["size"]) == ([1280, 720], [512, 288])
    assert "with --size 288" in said(capsys, 0, "stylize", "hd.png", "--look", paintings[0], "--dry-run")
    assert "trained_size" not in said_json(capsys, "stylize", "small.png", "--look", paintings[0], "--dry-run")


def test_odd_names_and_shapes_of_pictures(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    write_picture(Path("strip.png"), np.random.default_rng(1).integers(0, 256, (4, 3000, 3), dtype=np.uint8))
    shutil.copy(paintings[0], "a .png")
    folder = Path("take:2") if not WINDOWS else Path("take 2")
    folder.mkdir()
    shutil.copy(paintings[0], folder / "a.png")
    look = f"0: a .png, 3: {folder}/a.png, 5: strip.png"
    assert said_json(capsys, "stylize", source, "--look", look, *SMALL, "-o", "odd.mkv")["frames"] == 8
    many = ", ".join(f"{n}: {n}.png" for n in range(40))
    for n in range(40):
        shutil.copy(paintings[0], f"{n}.png")
    assert "up to 32" in said(capsys, 2, "stylize", source, "--look", many, *SMALL, "-o", "many.mkv")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two clips in clips/, and pictures in looks/."""
    for folder in ("clips", "looks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        lossless(tmp_path / "clips" / f"{name}.mkv", moving_frames(6, (96, 64)))
    write_style_pictures(tmp_path / "looks")
    return tmp_path / "clips"


@pytest.mark.thorough
def test_a_folder_of_clips_is_rendered_with_one_look(clips: Path, capsys: Capsys) -> None:
    wanted = ("stylize", clips, "--look", "looks/stripes.png", *SMALL, "-o", "out/", "--executor", "inline")
    before = snapshot(Path())
    assert "estimate" in said_json(capsys, *wanted, "--dry-run")["items"][0]
    assert snapshot(Path()) == before
    table = said_json(capsys, *wanted)
    assert table["failed"] == {}
    assert [Path(item["output"]).name for item in table["items"]] == ["a.stripes.mkv", "b.stripes.mkv"]
    assert Path("out/a.stripes.mkv").read_bytes() == Path("out/b.stripes.mkv").read_bytes()
    assert len(list(Path(".vidtrans/at-once").iterdir())) == 1
    assert said_json(capsys, *wanted)["cached"]
    alone = ("stylize", clips / "a.mkv", "--look", "looks/stripes.png", *SMALL, "-o", "alone.mkv")
    said_json(capsys, *alone, "--jobs", "2")
    assert Path("alone.mkv").read_bytes() == Path("out/a.stripes.mkv").read_bytes()


def test_clips_of_a_list_have_pictures_of_their_own(clips: Path, capsys: Capsys) -> None:
    Path("shots").mkdir()
    shutil.move("looks", "shots/looks")
    rows = (
        '[[clips]]\nsource = "../clips/a.mkv"\n',
        '[[clips]]\nsource = "../clips/b.mkv"\nrendering.look = "looks/chequers.png"\n',
        '[[clips]]\nsource = "../clips/b.mkv"\noutput = "mix.mkv"\n'
        'rendering.look = "looks/stripes.png: 1, looks/chequers.png: 1"\n',
        '[[clips]]\nsource = "../clips/b.mkv"\nmodel = "identity"\nrendering.look = ""\n',
    )
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows))
    table = said_json(capsys, "stylize", "shots/list.toml", *SMALL, "-o", "out/", "--executor", "inline")
    assert table["failed"] == {}
    names = ["a.stripes.mkv", "b.chequers.mkv", "mix.mkv", "b.identity.mkv"]
    assert [Path(item["output"]).name for item in table["items"]] == names
    assert len({Path("out", name).read_bytes() for name in names}) == 4
    # A flag outranks the list, and is relative to the current folder.
    flagged = ("--look", "shots/looks/chequers.png", "-o", "flagged/", "--executor", "inline")
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows[:2]))
    table = said_json(capsys, "stylize", "shots/list.toml", *SMALL, *flagged)
    assert [item["model"] for item in table["items"]] == ["chequers", "chequers"]
    Path("chequers.png").write_bytes(Path("shots/looks/chequers.png").read_bytes())
    clip = '[[clips]]\nsource = "../clips/a.mkv"\n'
    for text, says in ((clip + 'rendering.look = "chequers.png"\n', "no such picture"), (clip, "rendering.look")):
        Path("shots/list.toml").write_text(text)
        assert says in refuse(capsys, 2, "stylize", "shots/list.toml")


def test_a_picture_that_is_damaged_fails_its_clips_alone(clips: Path, capsys: Capsys) -> None:
    Path("text.png").write_text("no picture")
    rows = ('[[clips]]\nsource = "clips/a.mkv"\nrendering.look = "text.png"\n', '[[clips]]\nsource = "clips/b.mkv"\n')
    Path("list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows))
    said(capsys, 5, "stylize", "list.toml", *SMALL, "-o", "out/", "--executor", "inline")
    assert [path.name for path in Path("out").glob("*.mkv")] == ["b.stripes.mkv"]


def test_the_model_stays_in_the_cache_while_it_is_used(clips: Path) -> None:
    recipe = render_recipe(None, {"rendering": {"look": "looks/stripes.png"}})
    context = Context(device="cpu")
    render = RequestedRender(StylizeRequest(clips / "a.mkv", (), Path("o.mkv"), recipe), context, 0.0)
    assert render.look.path is not None
    context.cache.trim(0)
    assert render.look.path.is_file()
    path = render.look.path
    del render
    context.cache.trim(0)
    assert not path.exists()


def test_parts_of_a_printed_job_make_the_same_bytes(clips: Path, capsys: Capsys) -> None:
    options = ("--look", "looks/stripes.png", "--set", "rendering.chunk_frames=3", *SMALL)
    lossless(Path("long.mkv"), moving_frames(12, (48, 32)))
    lines = said(capsys, 0, "stylize", "long.mkv", *options, "-o", "o.mkv", "--print-jobs", "commands", "--jobs", "2")
    commands = [shlex.split(line.partition(" vidtrans ")[2]) for line in lines.splitlines() if " vidtrans " in line]
    assert [("--chunk" in words, "--look" in words) for words in commands] == [(True, True)] * 2
    shutil.rmtree(".vidtrans")  # where the job runs, the model is made
    for words in commands:
        assert run(words) == 0
    capsys.readouterr()
    said_json(capsys, "stylize", "long.mkv", *options, "-o", "whole.mkv", "--cache-dir", "other")
    assert Path("whole.mkv").read_bytes() == Path("o.mkv").read_bytes()


def test_a_result_is_corrected_from_another_folder_when_its_model_is_gone(clips: Path, capsys: Capsys) -> None:
    look = "looks/stripes.png: 1, looks/chequers.png: 2"
    said_json(capsys, "stylize", clips / "a.mkv", "--look", look, *SMALL, "-o", "o.mkv")
    frames = decode(Path("o.mkv"))[2]
    frames[2][10:20, 10:20] = 250
    write(Path("fixes/0002.png"), frames[2])
    shutil.rmtree(".vidtrans/at-once")
    os.chdir("looks")
    cache = ("--cache-dir", "../.vidtrans")
    table = said_json(capsys, "fix", "../o.mkv", "--painted", "../fixes", "-o", "../f.mkv", *cache)
    assert table["corrections"] == [2]


def norms(look: str, clip: str) -> np.ndarray:
    """Return the predicted norms of the look that a ``--look`` shows first, as one vector."""
    model = model_at_once(parse_pictures(look), Context(device="cpu"), Path(clip))
    state = model.load_generator()[0].state_dict()
    return np.concatenate([v[0].numpy().ravel() for k, v in sorted(state.items()) if ".norm." in k])


@pytest.mark.thorough
@pytest.mark.usefixtures("paintings")
def test_the_share_moves_from_the_clips_own_style_to_the_pictures(source: Path, capsys: Capsys) -> None:
    made = {}
    for share in (0, 0.5, 1):
        look = f"stripes.png: {share}, clip: {1 - share}"
        table = said_json(capsys, "stylize", source, "--look", look, *SMALL, "-o", "o.mkv", "--overwrite")
        assert table["model"] == "stripes+clip"
        made[share] = np.stack(decode(Path("o.mkv"))[2]).astype(int)
    apart = np.abs(made[0] - made[1]).mean()
    assert apart > 5
    for end in (0, 1):
        assert 0.05 * apart < np.abs(made[0.5] - made[end]).mean() < 0.95 * apart
    said_json(capsys, "stylize", source, "--look", "0: clip, 7: stripes.png", *SMALL, "-o", "turn.mkv")
    turned = np.stack(decode(Path("turn.mkv"))[2]).astype(int)
    assert np.abs(turned[0] - made[0][0]).mean() < 3
    assert np.abs(turned[-1] - made[1][-1]).mean() < 3


@pytest.mark.usefixtures("paintings")
def test_each_clip_has_its_own_style_without_its_bars() -> None:
    stripes, chequers = (style_pictures()[name] for name in ("stripes", "chequers"))
    lossless(Path("still.mkv"), [stripes] * 7)
    lossless(Path("barred.mkv"), [np.pad(stripes, ((20, 20), (0, 0), (0, 0)))] * 7)
    lossless(Path("other.mkv"), [chequers] * 7)
    own = norms("clip", "still.mkv")
    distances = {name: float(np.abs(norms("clip", name) - own).mean()) for name in ("barred.mkv", "other.mkv")}
    assert distances["barred.mkv"] < 0.3 * distances["other.mkv"]
    assert np.allclose(own, norms("stripes.png", "other.mkv"), atol=1e-3)  # the frames are that picture
    assert np.allclose(norms("stripes.png: 1, clip: 1", "other.mkv"), (own + norms("clip", "other.mkv")) / 2, atol=1e-3)


@pytest.mark.usefixtures("paintings")
def test_a_file_named_clip_comes_first() -> None:
    Path("clip").write_bytes(Path("chequers.png").read_bytes())
    assert not parse_pictures("stripes.png: 1, clip: 1").has_clip
    assert parse_pictures("stripes.png: 1, clip: 1").files == [Path("stripes.png"), Path("clip")]
    Path("clip").unlink()
    assert parse_pictures("stripes.png: 1, clip: 1").has_clip
