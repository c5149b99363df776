"""Networks of other tools with numbers of their own: styles of 0…255, label maps of 0 and 1, 256 values a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from imports import described, difference, imported, saved_in_folder
from peer_variants import VARIANTS, Variant, checkpoint_of, save_variant

from vidtrans.errors import ModelError, UsageError
from vidtrans.models.families.spade import start_size
from vidtrans.models.families.writing import their_state
from vidtrans.models.formats import load_format
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.pairing.base import make_pairing

FAMILIES = {
    "spade": "spade",
    "fast-neural-style": "fast-style",
    "raw-float-style": "raw-float-style",
    "pict": "pict",
}
KNOWN = [variant for variant in VARIANTS if variant.family in FAMILIES]
CASES = [(v, v.containers[i % len(v.containers)]) for i, v in enumerate(KNOWN)]  # all containers, each by several
WRITTEN = [variant for variant in KNOWN if variant.family in ("spade", "fast-neural-style")]
pytestmark = pytest.mark.usefixtures("one_thread")


def named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


@pytest.mark.parametrize(("variant", "container"), CASES, ids=[variant.name for variant in KNOWN])
def test_a_network_is_recognised_and_computes_what_it_did_there(variant: Variant, container: str) -> None:
    theirs, path = saved_in_folder(variant, Path("training"), container, seed=3)
    ours, model = imported(path)
    assert model.family == FAMILIES[variant.family]
    assert ours.multiple % variant.multiple == 0
    furthest, variation = difference(ours, theirs, variant)
    assert variation > 0.01
    assert furthest <= 1e-4


@pytest.mark.parametrize("variant", WRITTEN, ids=[variant.name for variant in WRITTEN])
def test_a_network_goes_back_bit_for_bit(variant: Variant) -> None:
    theirs, path = saved_in_folder(variant, Path("training"), "zip", seed=4)
    ours, model = imported(path)
    record = ModelRecord(
        model.generator,
        {},
        3,
        3,
        256,
        NORMALISATION,
        {},
        {},
        ports={"in_channels": 3, "out_channels": 3} | model.ports,
        origin={"family": model.family} | model.origin,
    )
    family, state = their_state(record, ours)
    assert family == FAMILIES[variant.family]
    expected = {k: v for k, v in checkpoint_of(variant, theirs).items() if not _was_never_used(k, variant)}
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def _was_never_used(name: str, variant: Variant) -> bool:
    return variant.old_keys != "" and (".running_" in name or "num_batches" in name)


@pytest.mark.parametrize("name", ["raw-float-style-w8", "pict-1to3-w2-256x256"])
def test_networks_that_no_other_tool_writes_are_not_written(name: str) -> None:
    variant = named(name)
    save_variant(variant, Path("model"), variant.containers[0])
    ours, model = imported(Path("model"))
    ports = {"in_channels": 3, "out_channels": 3} | model.ports
    record = ModelRecord(model.generator, {}, 3, 3, 256, NORMALISATION, {}, {}, ports=ports)
    with pytest.raises(UsageError, match="theirs is always"):
        their_state(record, ours)


@pytest.mark.parametrize(
    ("name", "pairing"),
    [
        ("spade-normal-spectral-batch-5labels", {"name": "labels", "settings": {"classes": 4, "boundaries": True}}),
        ("fast-style-w8", None),
        ("raw-float-style-w8", None),
        ("pict-1to3-w2-256x256", {"name": "edges", "settings": {}}),
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
    variant = named("spade-more-spectral-batch-5labels")
    _, path = saved_in_folder(variant, Path("training"), "zip", seed=0)
    assert described(path)[1].size == 512
    assert described(path)[1].notes == ()
    (path.parent / "opt.txt").unlink()
    model = described(path)[1]
    assert model.size == 256
    assert "opt.txt" in model.notes[0]
    assert model.generator["settings"]["upsamplings"] == 5


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("label_nc: 5\nno_instance: True", {"classes": 5, "boundaries": False, "rest_is_last": False}),
        ("label_nc: 4\nno_instance: False", {"classes": 4, "boundaries": True, "rest_is_last": False}),
        (
            "label_nc: 3\nno_instance: False\ncontain_dontcare_label: True",
            {"classes": 4, "boundaries": True, "rest_is_last": True},
        ),
        ("label_nc: 9\nno_instance: False", None),
        ("label_nc: 0", None),
    ],
)
def test_options_name_the_labels_where_they_come_to_the_channels(options: str, settings: object) -> None:
    variant = named("spade-normal-spectral-batch-5labels")
    _, path = saved_in_folder(variant, Path("training"), "zip", seed=0)
    (path.parent / "opt.txt").write_text(options)
    found = described(path)[1].pairing
    assert found == ({"name": "labels", "settings": settings} if settings else {})


def test_a_size_of_spade_s_options_is_a_width() -> None:
    variant = named("spade-normal-spectral-batch-5labels")
    _, path = saved_in_folder(variant, Path("training"), "zip", seed=0)
    (path.parent / "opt.txt").write_text("crop_size: 512\naspect_ratio: 2.0\nnum_upsampling_layers: more")
    assert described(path)[1].size == 256


@pytest.mark.parametrize(
    ("places", "size"), [(64, (8, 8)), (32, (4, 8)), (2, (1, 2)), (48, (6, 8)), (7, (1, 7)), (0, (1, 1))]
)
def test_a_learned_start_is_square_or_twice_as_wide(places: int, size: tuple[int, int]) -> None:
    assert start_size(places) == size


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


# Raw floats


def raw_folder() -> Path:
    save_variant(named("raw-float-style-w3"), Path("style"), "raw-floats")
    return Path("style/manifest.json")


def test_all_files_of_raw_floats_are_known() -> None:
    manifest = raw_folder()
    found = load_format("raw-float-style").files(manifest)
    assert found[0] == manifest
    assert sorted(found) == sorted(manifest.parent.iterdir())


def change_manifest(manifest: Path, **of_first: object) -> None:
    import json

    table = json.loads(manifest.read_text())
    table["Variable"] |= of_first
    manifest.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"filename": "../secret"}, "outside its folder"),
        ({"filename": "/etc/hostname"}, "outside its folder"),
        ({"filename": "C:\\secret"}, "outside its folder"),
        ({"filename": "link"}, "outside its folder"),
        ({"filename": ".."}, "outside its folder"),
        ({"filename": "absent"}, "is missing"),
        ({"filename": "Variable_3"}, "bytes, not the|in one file"),
        ({"filename": 7}, "no file or no shape"),
        ({"shape": [9, 9, 3, 4]}, "bytes, not the"),
        ({"shape": [1 << 40, 9, 3, 4]}, "no file or no shape"),
        ({"shape": [9, -9, 3, -3]}, "no file or no shape"),
        ({"shape": "9933"}, "no file or no shape"),
        ({"shape": [9, 3, 9, 3]}, "'Variable' is 9x3x9x3, not 9x9x3x3"),
    ],
)
def test_a_manifest_that_lies_is_one_line(change: dict[str, object], reason: str) -> None:
    manifest = raw_folder()
    Path("secret").write_bytes((manifest.parent / "Variable").read_bytes())
    (manifest.parent / "link").symlink_to(Path("secret").absolute())
    change_manifest(manifest, **change)
    with pytest.raises(ModelError, match=reason) as caught:
        load_generator(manifest)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"Variable": 3}', "[" * 100_000, '{"a": {"filename": "a"}}'])
def test_other_json_is_no_manifest(text: str) -> None:
    Path("manifest.json").write_text(text)
    assert not load_format("raw-float-style").detect(Path("manifest.json"))


# .pict


def pict() -> bytes:
    save_variant(named("pict-3to3-w1-256x256"), Path("model.pict"), "pict")
    return Path("model.pict").read_bytes()


def test_a_pict_file_has_no_statistics_and_says_so() -> None:
    pict()
    _, model, _ = described(Path("model.pict"))
    assert model.generator["settings"]["norm"] == "picture"
    assert model.origin == {"statistics": False}
    assert "each picture" in model.notes[0]
    with pytest.raises(UsageError, match="--pairing"):
        load_generator(Path("model.pict"))


@pytest.mark.parametrize("cut", [1, 4, 40, 2000])
def test_a_pict_file_that_is_cut_off_is_one_line(cut: int) -> None:
    data = pict()
    for made in (data[:-cut], data + bytes(cut)):
        Path("model.pict").write_bytes(made)
        with pytest.raises(ModelError, match="bytes of weights") as caught:
            load_generator(Path("model.pict"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"encoder_8/conv2d/bias", b"encoder_8/conv2d/bia5", "'generator/encoder_8/conv2d/bias' is missing"),
        (b"encoder_8/conv2d/bias", b"encoder_7/conv2d/bias", "stands there twice"),
        (b'"shape": [4, 4, 3, 1]', b'"shape": [4, 3, 4, 1]', "not 4x4x3x1|not 4x4x"),
        (b'"shape": [4, 4, 3, 1]', b'"shape": [4, 4, 3,-1]', "no shape"),
        (b'"shape": [4, 4, 3, 1]', b'"shape": [9, 9, 9, 9]', "bytes of weights"),
        (b'{"name"', b'{"nama"', "no name"),
    ],
)
def test_a_pict_file_that_lies_is_one_line(old: bytes, new: bytes, reason: str) -> None:
    data = pict()
    assert old in data
    Path("model.pict").write_bytes(data.replace(old, new, 1))
    with pytest.raises(ModelError, match=reason):
        load_generator(Path("model.pict"))
