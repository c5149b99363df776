"""Pictures, videos and what is neither as looks: in ``stylize``, ``run --at-once`` and ``try``, without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames, scene, times
from directed_clip import lossless, same
from documented import check_described
from PIL import Image
from style_pictures import style_pictures, write_style_pictures

from vidtrans.core.events import Event, Note
from vidtrans.models.at_once import predict_model_from_pictures
from vidtrans.models.loaded_model import load_model
from vidtrans.models.look_pictures import parse_pictures
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture, write_picture

Capsys = pytest.CaptureFixture[str]
RUN = ("run", "--look", "stripes.png", "--at-once", "--apply")
FAST = ("--codec", "ffv1", "--temporal", "off", "--device", "cpu", "--set", "rendering.size=48")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(6, (96, 64)))
    write_style_pictures(tmp_path)


def test_a_picture_is_rendered_without_training(capsys: Capsys) -> None:
    before = snapshot(Path())
    planned = said_json(capsys, *RUN, "clip.mkv", "-o", "out.mkv", *FAST, "--dry-run")
    assert planned["dry_run"]
    assert snapshot(Path()) == before
    table = said_json(capsys, *RUN, "clip.mkv", "-o", "out.mkv", *FAST)
    check_described(("run",), table)
    assert (table["model"], table["dataset"], table["held_out"], table["frames"]) == ("stripes", None, None, 6)
    assert sorted(p.name for p in Path().glob("*.safetensors")) == []
    assert "up to date" in said(capsys, 0, *RUN, "clip.mkv", "-o", "out.mkv", *FAST)
    said_json(capsys, "stylize", "clip.mkv", "--look", "stripes.png", *FAST, "-o", "stylized.mkv")
    assert Path("out.mkv").read_bytes() == Path("stylized.mkv").read_bytes()


def test_what_concerns_training_is_refused(capsys: Capsys) -> None:
    for more in (
        ("--steps", "5"),
        ("--pairing", "edges"),
        ("--seed", "3"),
        ("--set", "training.lr=0.1"),
        ("clip.mkv",),
    ):
        told = refuse(capsys, 2, *RUN, "clip.mkv", "-o", "out.mkv", *more)
        assert "nothing is trained with --at-once" in told
        assert " ".join(more).split("=")[0].split()[0] in told
    said_run = ("run", "--apply", "clip.mkv", "-o", "out.mkv", "--at-once")
    assert "it has no picture" in refuse(capsys, 2, *said_run)
    assert "2 looks" in refuse(capsys, 2, *said_run, "--look", "stripes.png", "--look", "chequers.png")
    assert "no such picture" in refuse(capsys, 2, *said_run, "--look", "absent.png")


TRY = ("try", "clip.mkv", "--frames", "2", "--size", "48", "--device", "cpu")


def test_pictures_are_columns(capsys: Capsys) -> None:
    before = snapshot(Path())
    looks = ("--vary", "look=stripes.png,chequers.png")
    assert said_json(capsys, *TRY, *looks, "--dry-run")["dry_run"]
    assert snapshot(Path()) == before
    table = said_json(capsys, *TRY, *looks)
    assert table["columns"] == ["source", "--look stripes.png", "--look chequers.png"]
    assert said_json(capsys, *TRY, *looks)["cached"]
    more = ("--look", "stripes.png: 1, chequers.png: 1", "--vary", "look=stripes.png,clip", "--vary", "strength=0.5")
    table = said_json(capsys, *TRY, *more, "-o", "more.png")
    mixed = f"--look {more[1]}"
    columns = ["source", mixed, "--look stripes.png", "--look clip", "--strength 0.5"]
    assert table["columns"] == columns
    grid = read_picture(Path("more.png")).astype(int)
    widths = grid.shape[1] // len(columns)
    cells = [grid[-60:-10, n * widths + 20 : n * widths + 60] for n in range(len(columns))]
    assert min(np.abs(a - b).mean() for n, a in enumerate(cells) for b in cells[:n]) > 2
    # Another picture under the name makes another grid.
    Path("stripes.png").write_bytes(Path("chequers.png").read_bytes())
    assert not said_json(capsys, *TRY, *more, "-o", "more.png", "--overwrite")["cached"]


def test_media_and_settings_of_strokes_are_columns(capsys: Capsys) -> None:
    vary = ("--vary", "strokes=oil,pencil", "--vary", "strokes.size=2", "--vary", "palette=stripes.png")
    columns = ["source", "--strokes oil", "--strokes pencil", "--strokes-size 2", "--palette stripes.png"]
    assert said_json(capsys, *TRY, *vary, "--strokes-looseness", "0.5", "--frames", "1")["columns"] == columns
    grid = read_picture(Path("clip.try.png")).astype(int)
    widths = grid.shape[1] // len(columns)
    cells = [grid[-60:-10, n * widths + 20 : n * widths + 60] for n in range(len(columns))]
    assert min(np.abs(a - b).mean() for n, a in enumerate(cells) for b in cells[:n]) > 1
    columns = said_json(capsys, *TRY, "--vary", "look=oil,pencil", "--frames", "1", "-o", "looks.png")["columns"]
    assert columns == ["source", "--look oil", "--look pencil"]


def test_mistakes_are_one_line(capsys: Capsys) -> None:
    for words, why in (
        ((), "there is no model"),
        (("--look", "oil,pencil"), "--vary look=oil,pencil"),
        (("--vary", "strokes=oil,ink", "--vary", "strokes.size=9"), "strokes.size 9"),
        (("--vary", "strokes=oyl,ink"), "did you mean 'oil'"),
        (("--vary", "look=oil,stripes.png"), "compare media alone"),
        (("--strokes", "oil", "--strokes-size", "0: 1, 3: 2"), "one value each"),
        (("--look", "absent.png"), "no such picture"),
        (("--look", "stripes.png", "--vary", "look=absent.png"), "no such picture"),
        (("--look", "0: stripes.png, 3: chequers.png"), "one look each"),
        (("--look", "stripes.png", "-o", "stripes.png", "--overwrite"), "stripes.png"),
    ):
        assert why in refuse(capsys, 2, *TRY, *words)


SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")
PICTURE = style_pictures()["stripes"]


def norms(name: str) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    model = predict_model_from_pictures(parse_pictures(name), Context(device="cpu", report=report))
    state = model.load_generator()[0].state_dict()
    return np.concatenate([v[0].numpy().ravel() for k, v in sorted(state.items()) if ".norm." in k]), notes


def test_pictures_are_read_as_they_are_meant() -> None:
    picture = Image.fromarray(PICTURE)
    picture.save("plain.png")
    Image.fromarray(PICTURE[:, :, 0]).save("grey.png")
    Image.fromarray(PICTURE[:, :, [0, 0, 0]]).save("grey-rgb.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=turned)
    Image.fromarray(np.pad(PICTURE, ((40, 40), (0, 0), (0, 0)))).save("letterbox.png")
    around = Image.new("RGBA", (300, 300), (0, 250, 0, 0))
    around.paste(picture, (80, 100))
    around.save("transparent.png")
    first = Image.new("RGB", picture.size, "red")
    first.save("animated.png", save_all=True, append_images=[picture, first])
    lossless(Path("film.mkv"), [np.zeros_like(PICTURE)] * 2 + [PICTURE] + [np.zeros_like(PICTURE)] * 2)
    same = dict.fromkeys(("turned.png", "transparent.png", "animated.png", "film.mkv"), "plain.png")
    same["grey.png"] = "grey-rgb.png"
    found = {name: norms(name)[0] for name in {*same, *same.values(), "letterbox.png"}}
    apart = float(np.abs(found["plain.png"] - found["grey.png"]).mean())
    for name, other in same.items():
        assert np.abs(found[name] - found[other]).mean() < 1e-3 * apart, name
    assert np.abs(found["letterbox.png"] - found["plain.png"]).mean() < 0.2 * apart


def test_what_is_neither_picture_nor_video_is_one_line(capsys: Capsys) -> None:
    clip = lossless(Path("clip.mkv"), moving_frames(3, (64, 48)))
    Path("folder").mkdir()
    Path("cut.png").write_bytes(clip.read_bytes()[:100])
    Path("text.mp4").write_text("no video")
    Path("logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    Path("huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02" * 4
    )
    for look, status in (("folder", 2), ("cut.png", 3), ("text.mp4", 3), ("logo.svg", 3), ("huge.png", 3)):
        assert f"--look {look}: " in refuse(capsys, status, "stylize", clip, "--look", look, "-o", "o.mkv")


def test_the_clip_itself_is_a_look(capsys: Capsys) -> None:
    clip = lossless(Path("clip.mkv"), moving_frames(3, (64, 48)))
    table = said_json(capsys, "stylize", clip, "--look", clip, *SMALL, "-o", "o.mkv")
    assert (table["frames"], table["model"]) == (3, "clip")
    assert "clip.mkv" in said(capsys, 2, "stylize", clip, "--look", clip, *SMALL, "-o", clip, "--overwrite")


def test_pictures_are_mixed_and_follow_each_other(capsys: Capsys) -> None:
    made = {}
    for name, look in (
        ("one", "stripes.png"),
        ("other", "chequers.png"),
        ("half", "stripes.png: 1, chequers.png: 1"),
        ("in turn", "0: stripes.png, 5: chequers.png"),
    ):
        table = said_json(capsys, "stylize", "clip.mkv", "--look", look, *SMALL, "-o", "o.mkv", "--overwrite")
        assert (table["frames"], times(Path("o.mkv"))) == (6, times(Path("clip.mkv")))
        made[name] = np.stack(decode(Path("o.mkv"))[2]).astype(int)
    assert said_json(capsys, "stylize", "clip.mkv", "--look", look, *SMALL, "-o", "o.mkv")["cached"]
    frames = np.stack(decode(Path("clip.mkv"))[2]).astype(int)
    assert min(np.abs(made[name] - frames).mean() for name in ("one", "other")) > 15
    apart = np.abs(made["one"] - made["other"]).mean()
    assert apart > 15
    for end in ("one", "other"):
        assert 0.1 * apart < np.abs(made["half"] - made[end]).mean() < 0.95 * apart
    assert same(list(made["in turn"][:1]), list(made["one"][:1]), within=3)
    assert same(list(made["in turn"][-1:]), list(made["other"][-1:]), within=3)


@pytest.mark.thorough
def test_a_look_is_painted_at_its_sources_size_up_to_720_lines(capsys: Capsys) -> None:
    sizes = {"small": (96, 64), "hd": (1280, 720), "uhd": (2560, 1440)}
    for name, (width, height) in sizes.items():
        write_picture(Path(f"{name}.png"), scene(width, height, 1))
    looks = load_model(str(predict_model_from_pictures(parse_pictures("stripes.png"), Context()).path), Context())
    found = {name: list(looks.working_size("auto", size)) for name, size in sizes.items()}
    assert found == {"small": [96, 64], "hd": [1280, 720], "uhd": [1280, 720]}
    assert looks.working_size("trained", sizes["uhd"]) == (512, 288)
    command = ("--look", "stripes.png", "--dry-run")
    table = said_json(capsys, "stylize", "hd.png", *command)
    assert (table["working_size"], table["trained_size"]["size"]) == ([1280, 720], [512, 288])
    assert "with --size 288" in said(capsys, 0, "stylize", "hd.png", *command)
    assert "trained_size" not in said_json(capsys, "stylize", "small.png", *command)


def test_clips_of_a_list_have_pictures_of_their_own(tmp_path: Path, capsys: Capsys) -> None:
    for name in ("shots", "shots/looks"):
        Path(name).mkdir()
    for path in write_style_pictures(tmp_path):
        path.rename(Path("shots/looks", path.name))
    clip = '[[clips]]\nsource = "../clip.mkv"\n'
    rows = (
        clip,
        clip + 'rendering.look = "looks/chequers.png"\n',
        clip + 'output = "mix.mkv"\nrendering.look = "looks/stripes.png: 1, looks/chequers.png: 1"\n',
        clip + 'model = "identity"\nrendering.look = ""\n',
    )
    listed, inline = ("stylize", "shots/list.toml", *SMALL, "-o"), ("--executor", "inline")
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows))
    table = said_json(capsys, *listed, "out/", *inline)
    assert table["failed"] == {}
    names = ["clip.stripes.mkv", "clip.chequers.mkv", "mix.mkv", "clip.identity.mkv"]
    assert [Path(item["output"]).name for item in table["items"]] == names
    assert len({Path("out", name).read_bytes() for name in names}) == 4
    # A flag outranks the list, and is relative to the current folder.
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + clip)
    table = said_json(capsys, *listed, "flagged/", "--look", "shots/looks/chequers.png", *inline)
    assert [item["model"] for item in table["items"]] == ["chequers"]
    Path("chequers.png").write_bytes(Path("shots/looks/chequers.png").read_bytes())
    for text, says in ((clip + 'rendering.look = "chequers.png"\n', "no such picture"), (clip, "rendering.look")):
        Path("shots/list.toml").write_text(text)
        assert says in refuse(capsys, 2, "stylize", "shots/list.toml")
