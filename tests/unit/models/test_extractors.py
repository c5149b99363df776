"""The network that makes a model's input: found by its content, refused where it cannot be one, embedded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from extractors import COLOURS, TINY_UNET, negative, network, showing
from made_models import make_model
from peer_variants import VARIANTS, save_variant
from safetensors import safe_open
from safetensors.torch import save_file

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.models.formats import STEP_SUFFIX, cpu_weights, to_8_bits, weights_digest
from vidtrans.models.loaded_model import LoadedModel, load_extractor, load_model
from vidtrans.models.model_file import embed_extractor, load_generator, read_record
from vidtrans.models.model_record import ModelRecord, parse_record
from vidtrans.models.native_format import METADATA_KEY
from vidtrans.pairing.base import Extraction
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.extraction import FrameExtractor
from vidtrans.session import Context
from vidtrans.video.io.clip import Frame


def load(path: Path | str, **changes: Any) -> LoadedModel:
    return load_model(str(path), Context(), changes)


def test_it_is_found_beside_the_model_and_in_the_folders_of_models() -> None:
    look = showing(Path("looks/look.safetensors"), negative(Path("net.cube")))
    before = Path("net.cube")
    for place in (Path("looks/net.cube"), Path("models/net.cube"), Path("net.cube")):
        place.parent.mkdir(exist_ok=True)
        before = Path(shutil.move(before, place))
        found = load(look).extractor
        assert found
        assert found.path
        assert (found.path.resolve(), found.digest) == (place.resolve(), digest_file(place))


def test_another_file_of_its_name_is_passed_over_and_its_content_found_under_another() -> None:
    look = showing(Path("look.safetensors"), negative(Path("net.cube")))
    shutil.move("net.cube", "renamed.cube")
    network(Path("net.safetensors"))
    found = load(look).extractor
    assert found
    assert found.name == "renamed"


def test_the_path_that_is_given_is_taken_where_its_content_is_right_and_changes_nothing_on_record() -> None:
    look = showing(Path("look.safetensors"), negative(Path("elsewhere/net.cube")))
    given = shutil.copy("elsewhere/net.cube", "elsewhere/copy.cube")
    found = load(look, model=given)
    assert found.extractor is not None
    assert found.extractor.path == Path(given)
    assert found.pairing.settings.model == "net"
    with pytest.raises(ModelError, match="differs from the required network 'net'"):
        load(look, model=str(network(Path("other.safetensors"))))


def test_one_that_is_missing_is_named_with_what_to_do() -> None:
    look = showing(Path("look.safetensors"), negative(Path("gone/net.cube")))
    with pytest.raises(ModelError, match=r"--set pairing\.model=PATH") as caught:
        load(look)
    digest = digest_file(Path("gone/net.cube"))[:12]
    why = f"it makes the model's input, and no file with its content was found (SHA-256 {digest}…)"
    assert f"network 'net': {why}" in str(caught.value)


def test_a_name_on_record_leads_out_of_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    negative(tmp_path / "net.cube")
    showing(tmp_path / "in/look.safetensors", tmp_path / "net.cube", model="../net.cube")
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(ModelError, match="no file with its content was found"):
        load("look.safetensors")


REFUSED = {
    "several frames": ({"name": "next-frame", "context_frames": 2}, TINY_UNET, "its input includes several frames"),
    "a mask": ({"name": "inpaint"}, TINY_UNET, "its input includes a mask"),
    "a clock": ({"name": "next-frame", "position": "clock"}, None, "its input includes a position in its clip"),
    "guides": ({"name": "stack", "guides": ["depth"]}, TINY_UNET, "its input is a folder of guides"),
    "what it puts back": ({"name": "colorize"}, TINY_UNET, "it puts pixels of the frame back"),
}


def test_what_needs_more_than_a_frame_makes_no_input() -> None:
    for kind, (pairing, generator, why) in REFUSED.items():
        table = generator or {"name": "unet-small", "settings": {"channels": 8}}
        net = network(Path(f"{kind}.safetensors"), table, **pairing)
        with pytest.raises(ModelError, match=f"it cannot make the input of another model: {why}"):
            load_extractor(Extraction(str(net)), Context())
    look = showing(Path("look.safetensors"), negative(Path("net.cube")))
    with pytest.raises(ModelError, match="its own input is made by another network"):
        load_extractor(Extraction(str(look)), Context())
    with pytest.raises(UsageError, match=r"pairing 'model': it needs a network .* pairing\.model=FILE"):
        load_extractor(Extraction(""), Context())
    with pytest.raises(ModelError, match="returns the frame"):
        load_extractor(Extraction("identity"), Context())


def embedded(path: Path, extractor: Path, **settings: Any) -> Path:
    """A model with its extractor inside, and no other file of that."""
    alone = showing(Path("alone.safetensors"), extractor, **settings)
    embed_extractor(alone, path, load_generator(extractor, "extractor"))
    alone.unlink()
    extractor.unlink()
    return path


def test_an_embedded_one_changes_nothing_of_the_model_and_the_file_is_the_same_every_time() -> None:
    net = network(Path("net.safetensors"))
    plain = showing(Path("plain.safetensors"), net)
    for name in ("one", "two"):
        embed_extractor(plain, Path(f"{name}.safetensors"), load_generator(net))
    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()
    record, before = read_record(Path("one.safetensors")), read_record(plain)
    assert record.weights == before.weights
    assert {**record.__dict__, "extractor": {}} == before.__dict__
    with safe_open("one.safetensors", framework="numpy") as file:
        names = set(file.keys())
    assert {n for n in names if not n.startswith("extractor/")} == {"nodes"}
    assert torch.equal(load_generator(Path("one.safetensors"))[0].nodes, load_generator(plain)[0].nodes)


def test_an_embedded_one_whose_weights_changed_is_refused() -> None:
    path = embedded(Path("look.safetensors"), network(Path("net.safetensors")))
    data = bytearray(path.read_bytes())
    with safe_open(str(path), framework="numpy") as file:
        nodes = file.get_tensor("nodes").nbytes
    data[-nodes - 2] ^= 1  # tensors lie in the order of their names, the model's own after 'extractor/…'
    path.write_bytes(bytes(data))
    look = load(path)
    assert look.extractor is not None
    with pytest.raises(ModelError, match="its weights are damaged"):
        look.extractor.load_generator()


def test_a_record_with_an_extractor_that_nothing_asks_for_is_damaged() -> None:
    net = network(Path("net.safetensors"))
    plain = network(Path("plain.safetensors"), COLOURS, name="aligned")
    embed_extractor(plain, Path("odd.safetensors"), load_generator(net))
    with pytest.raises(ModelError, match="it embeds an extractor that its pairing does not use"):
        read_record(Path("odd.safetensors"))


def test_a_network_of_another_tool_is_one_and_is_embedded_with_what_it_takes_and_gives() -> None:
    variant = next(v for v in VARIANTS if v.family == "cyclegan-resnet" and v.in_channels == v.out_channels == 3)
    net = Path("theirs.pth")
    save_variant(variant, net, "zip")
    settings = RenderingSettings(size="source")
    frame = Frame(0, 0, scene(48, 32, seed=1))
    plain, made = showing(Path("plain.safetensors"), net), []
    for path in (plain, embedded(Path("whole.safetensors"), Path(shutil.copy(net, "copy.pth")))):
        extractor = FrameExtractor.of(load(path), settings, Context(device="cpu"))
        assert extractor is not None
        made.append(extractor.resized(frame, 48, 32).guides[0])
        net.unlink(missing_ok=True)
        assert extractor.for_key() == extractor.engine.identity | {"imported": 2}
    assert np.array_equal(*made)
    assert made[0].std() > 1


def test_a_record_that_names_a_network_without_its_digest_is_refused() -> None:
    """Else a stranger's file would open any other one of this machine."""
    net = negative(Path("net.cube"))
    with pytest.raises(ModelError, match="names a network without its digest"):
        load(showing(Path("look.safetensors"), net, digest=""))


def test_a_record_of_another_tool_s_network_that_lacks_what_it_needs_is_refused() -> None:
    record = json.loads(read_record(network(Path("net.safetensors"), COLOURS, name="aligned")).to_json())
    for changes, says in (
        ({"origin": {"counters": False}}, "its origin"),
        ({"ports": {"in_scale": [float("nan")]}}, "it must be a finite number"),
    ):
        with pytest.raises(ModelError, match=says):
            parse_record(json.dumps(record | changes), Path("net.safetensors"))


def saved(name: str, stored: dict[str, Any], record: ModelRecord) -> Path:
    record = replace(record, weights=weights_digest(stored))
    save_file(stored, name, metadata={METADATA_KEY: record.to_json()})
    return Path(name)


def test_weights_of_8_bits_are_read_within_half_a_step() -> None:
    path = make_model("whole.safetensors", "aligned")
    generator, record = load_generator(path)
    weights = {name: tensor.clone() for name, tensor in cpu_weights(generator).items()}
    short = saved("short.safetensors", to_8_bits(weights), record)
    assert short.stat().st_size < 0.4 * path.stat().st_size
    read = load_generator(short)[0].state_dict()
    assert {name: tensor.dtype for name, tensor in read.items()} == {n: t.dtype for n, t in weights.items()}
    for name, tensor in weights.items():
        half_a_step = (tensor.flatten(1).abs().amax(1) / 127 / 2).max() if tensor.ndim > 1 else 1e-3
        assert (read[name] - tensor).abs().max() <= 1.05 * half_a_step, name


def test_steps_that_fit_no_weights_or_make_them_infinite_are_refused() -> None:
    generator, record = load_generator(make_model("whole.safetensors", "aligned"))
    stored = to_8_bits(cpu_weights(generator))
    name = next(name for name in stored if name.endswith(STEP_SUFFIX))
    for step, why in (
        (stored[name].repeat(2), "does not fit its weights"),
        (stored[name].float() * 0 + 3e38, "finite"),
    ):
        with pytest.raises(ModelError, match=why):
            load_generator(saved("wrong.safetensors", stored | {name: step}, record))
