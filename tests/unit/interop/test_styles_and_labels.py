"""Networks of other tools with numbers of their own: styles of 0…255, label maps of 0 and 1, 256 values a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from imports import described, saved_in_folder
from peer_variants import VARIANTS, Variant, save_variant

from vidtrans.models.model_file import load_generator, save_model
from vidtrans.pairing.pairing_records import make_pairing

pytestmark = pytest.mark.usefixtures("one_thread")


def named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


@pytest.mark.parametrize(
    ("name", "pairing"),
    [
        ("spade-normal-spectral-batch-5labels", {"name": "labels", "settings": {"classes": 4, "boundaries": True}}),
        ("fast-style-w8", None),
    ],
)
def test_a_model_of_ours_made_of_a_file_has_its_bits(name: str, pairing: dict[str, object] | None) -> None:
    variant = named(name)
    save_variant(variant, Path("model"), variant.containers[0])
    form, model, path = described(Path("model"))
    made = make_pairing(pairing["name"], pairing["settings"]) if pairing else None  # type: ignore[arg-type]
    generator, record = form.load_described(path, model, made)
    save_model(Path("ours.safetensors"), generator, record)
    again, kept = load_generator(Path("ours.safetensors"))
    assert (kept.generator, kept.pairing, kept.ports) == (record.generator, record.pairing, record.ports)
    before, after = generator.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    x = torch.rand(1, record.in_channels, *variant.size) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(generator.eval()(x), again(x), atol=1e-5, rtol=0)  # rounding hangs on alignment


# SPADE


def test_spade_is_taken_for_256_pixels_unless_its_options_say_more() -> None:
    _, path = saved_in_folder(named("spade-more-spectral-batch-5labels"), Path("training"), "zip", seed=0)
    more = described(path)[1]
    assert (more.size, more.notes) == (512, ())
    (path.parent / "opt.txt").unlink()
    model = described(path)[1]
    assert model.size == 256
    assert "opt.txt" in model.notes[0]
    assert model.generator["settings"]["upsamplings"] == 5


def test_options_name_the_labels_where_they_come_to_the_channels() -> None:
    _, path = saved_in_folder(named("spade-normal-spectral-batch-5labels"), Path("training"), "zip", seed=0)
    wanted: dict[str, tuple[int, bool, bool] | None] = {
        "label_nc: 5\nno_instance: True": (5, False, False),
        "label_nc: 4\nno_instance: False": (4, True, False),
        "label_nc: 3\nno_instance: False\ncontain_dontcare_label: True": (4, True, True),
        "label_nc: 9\nno_instance: False": None,
        "label_nc: 0": None,
    }
    for options, found in wanted.items():
        (path.parent / "opt.txt").write_text(options)
        settings = dict(zip(("classes", "boundaries", "rest_is_last"), found or (), strict=False))
        assert described(path)[1].pairing == ({"name": "labels", "settings": settings} if settings else {})
    (path.parent / "opt.txt").write_text("crop_size: 512\naspect_ratio: 2.0\nnum_upsampling_layers: more")
    assert described(path)[1].size == 256  # a size of theirs is a width


def test_label_maps_of_pix2pixhd_are_of_0_and_1_and_pictures_are_not() -> None:
    for name, ports in (("hd-global-4-9-instance-36to3-w4", True), ("hd-global-3-2-instance-3to3-w4", False)):
        save_variant(named(name), Path(name), "zip")
        assert ("in_scale" in described(Path(name))[1].ports) is ports


# Fast neural style, real files


def test_a_real_checkpoint_paints_what_its_onnx_export_does(real_data: object) -> None:
    runtime = pytest.importorskip("onnxruntime")
    import cv2

    session = runtime.InferenceSession(
        str(real_data("models/candy_nc16_256x256_onnxjs013.onnx")),  # type: ignore[operator]
        providers=["CPUExecutionProvider"],
    )
    ours, record = load_generator(real_data("models/candy_nc16_b1_e2_1e05_1e10.model"))  # type: ignore[operator]
    assert record.pairing["name"] == "aligned"
    clip = cv2.VideoCapture(str(real_data("video/dog.mp4")))  # type: ignore[operator]
    for _ in range(3):
        frame = cv2.resize(clip.read()[1], (256, 256), interpolation=cv2.INTER_AREA)[..., ::-1]
        x = np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32)[None]
        theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
        with torch.no_grad():
            found = (ours(torch.from_numpy(x) / 127.5 - 1).numpy() + 1) * 127.5
        error = np.square(theirs.clip(0, 255).round() - found.clip(0, 255).round()).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50
