"""``stylize --look PICTURE`` without a model: the look of any picture, or of the clip itself, at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, scene, times
from directed_clip import lossless, same
from style_pictures import style_pictures, write_style_pictures

from vidtrans.config.recipe import render_recipe
from vidtrans.models.at_once import model_at_once
from vidtrans.models.loaded_model import load_model
from vidtrans.models.look_pictures import parse_pictures
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


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for folder in ("clips", "looks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        lossless(tmp_path / "clips" / f"{name}.mkv", moving_frames(6, (96, 64)))
    write_style_pictures(tmp_path / "looks")
    return tmp_path / "clips"


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
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + rows[0])
    table = said_json(capsys, "stylize", "shots/list.toml", *SMALL, *flagged)
    assert [item["model"] for item in table["items"]] == ["chequers"]
    Path("chequers.png").write_bytes(Path("shots/looks/chequers.png").read_bytes())
    clip = '[[clips]]\nsource = "../clips/a.mkv"\n'
    for text, says in ((clip + 'rendering.look = "chequers.png"\n', "no such picture"), (clip, "rendering.look")):
        Path("shots/list.toml").write_text(text)
        assert says in refuse(capsys, 2, "stylize", "shots/list.toml")


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


def norms(look: str, clip: str) -> np.ndarray:
    model = model_at_once(parse_pictures(look), Context(device="cpu"), Path(clip))
    state = model.load_generator()[0].state_dict()
    return np.concatenate([v[0].numpy().ravel() for k, v in sorted(state.items()) if ".norm." in k])


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
