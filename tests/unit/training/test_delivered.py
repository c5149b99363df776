"""Delivered pictures in training: enlarged as a render enlarges them, scored at full size, and shown pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import TINY, quick_training, said
from clips import moving_frames, write_clip, write_folder

import vidtrans as api
from vidtrans.commands.words import delivered_text
from vidtrans.models.model_file import read_record
from vidtrans.video.images.picture import read_picture


@pytest.mark.usefixtures("one_thread")
def test_a_training_scores_and_shows_what_a_render_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_frames(24, (96, 64))
    write_clip(Path("c.mp4"), frames)
    write_folder(Path("t"), [255 - f for f in frames], [f"{i:03}.png" for i in range(24)])
    settings = {"dataset": TINY["dataset"] | {"val_fraction": 0.25, "full_size_pairs": 2}}
    api.make_dataset("c.mp4", "d", pairing="aligned", target="t", settings=settings)
    table = api.train("d", "m.safetensors", settings=quick_training())
    found = table["delivered"]
    assert (found["pairs"], found["size"]) == (2, [96, 64])
    assert found.keys() == {"pairs", "size", "psnr", "ssim", "sharpness", "bicubic_psnr"}
    assert read_record(Path("m.safetensors")).training["delivered"] == found
    preview, cell = read_picture(Path("m.train/preview.png")), 48
    assert preview.shape[1] == 5 * cell + 6 * 6  # input, output and target, and two parts pixel by pixel
    text = delivered_text(found)
    assert "here 96x64" in Path("m.train/report.html").read_text()
    assert text in said(capsys, 0, "model", "show", "m.safetensors")
    for picture in Path("d/c.full").iterdir():
        picture.unlink()
    plain = api.train("d", "p.safetensors", settings=quick_training())
    assert "delivered" not in plain
    assert read_picture(Path("p.train/preview.png")).shape[1] == 3 * cell + 4 * 6
    assert "Delivered pictures" not in Path("p.train/report.html").read_text()
