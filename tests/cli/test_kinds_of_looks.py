"""``--look`` with pictures of all kinds, videos, and what is neither: a style, or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import moving_frames
from directed_clip import lossless
from PIL import Image
from style_pictures import style_pictures

from vidtrans.core.events import Event, Note
from vidtrans.models.at_once import model_at_once
from vidtrans.models.look_pictures import parse_pictures
from vidtrans.session import Context

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")
PICTURE = style_pictures()["stripes"]


def norms(name: str) -> tuple[np.ndarray, list[str]]:
    """Predict a look; return its norms as one vector, and the text that the command printed."""
    notes: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    model = model_at_once(parse_pictures(name), Context(device="cpu", report=report))
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


def test_what_has_hardly_any_style_is_told() -> None:
    for picture, told in (
        (Image.new("RGB", (1, 1)), "1x1 pixels have hardly any texture"),
        (Image.new("RGBA", (64, 64)), "it is of one colour"),
        (Image.fromarray(PICTURE).convert("CMYK"), "CMYK without a profile"),
    ):
        picture.save("look.tif")
        vector, notes = norms("look.tif")
        assert np.isfinite(vector).all()
        assert [note for note in notes if told in note]


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
