"""Other tools' networks, as the tests have them: they run, each kernel counts, files hold their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peer_files import OLD_KEYS, TORCH_CONTAINERS, options_text
from peer_networks.fast_style import TransformerNet
from peer_networks.pict import read_pict
from peer_networks.raw_float_style import read_raw_floats
from peer_networks.tensorflow_layers import own_statistics_norm, same_conv, same_conv_transpose
from peer_variants import VARIANTS, Variant, checkpoint_of, input_of, save_experiment, save_variant
from safetensors.torch import load_file
from torch import Tensor, nn

EVERY = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
# The first of each family, with each kind of old keys: others of it are built and saved by the same code.
FIRST = list({(variant.family, variant.old_keys): variant for variant in reversed(VARIANTS)}.values())
BY_NAME = {variant.name: variant for variant in VARIANTS}


def load(path: Path, container: str) -> dict[str, Tensor]:
    if container == "raw-floats":
        return read_raw_floats(path)
    if container == "pict":
        return read_pict(path)
    if container == "safetensors":
        return load_file(path)
    state = torch.load(path, weights_only=True)
    if container == "wrapped":
        return state["state_dict"]
    return {name.removeprefix("module.") if container == "data-parallel" else name: v for name, v in state.items()}


def test_variants_are_many_and_each_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(variant.name for variant in VARIANTS).items() if count > 1] == []
    assert len(VARIANTS) >= 70
    assert {variant.old_keys for variant in VARIANTS} == set(OLD_KEYS)


@EVERY
def test_a_reference_runs_and_each_of_its_kernels_counts(variant: Variant) -> None:
    network, frame = variant.build(0), input_of(variant)
    output = network(frame)
    assert output.shape == (1, variant.out_channels, *variant.size)
    middle, reach = (127.5, 150) if variant.out_values == "bytes" else (0, 1)
    assert 0.1 < float((output.detach() - middle).std()) / reach < 1
    output.mul(torch.randn(output.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    idle = {name for name, p in network.named_parameters() if p.dim() == 4 and float(p.grad.abs().max()) < 1e-4}
    # A norm of one pixel leaves nothing of what led to it.
    alone = variant.family == "pict" and variant.size == (256, 256)
    assert idle == ({"generator/encoder_8/conv2d/kernel"} if alone else set())


@pytest.mark.parametrize("variant", FIRST, ids=lambda variant: variant.name)
def test_a_reference_depends_on_nothing_but_its_seed(variant: Variant) -> None:
    frame = input_of(variant)
    with torch.no_grad():
        first = variant.build(3)
        one, again, two = first(frame), first(frame), variant.build(3)(frame)
        other = variant.build(4)(frame)
    assert torch.equal(one, two)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@EVERY
def test_files_hold_the_weights_bit_for_bit(variant: Variant, tmp_path: Path) -> None:
    """In every container for the first of a family, in one of them for each other."""
    containers = variant.containers
    one = containers[VARIANTS.index(variant) % len(containers)]
    for container in containers if variant in FIRST else (one,):
        network = save_variant(variant, tmp_path / container, container)
        state, saved = load(tmp_path / container, container), checkpoint_of(variant, network)
        assert set(state) == set(saved)
        assert [name for name in saved if not torch.equal(state[name], saved[name])] == []


@EVERY
def test_old_keys_are_the_only_ones_that_a_network_does_not_know(variant: Variant) -> None:
    network = variant.build(0)
    unknown = set(checkpoint_of(variant, network)) ^ set(network.state_dict())
    assert {name.rpartition(".")[2] for name in unknown} <= {"running_mean", "running_var", "num_batches_tracked"}
    assert bool(unknown) == bool(variant.old_keys)


def test_a_container_that_a_family_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not saved as zip"):
        save_variant(BY_NAME["raw-float-style-w8"], tmp_path / "x", "zip")
    assert TORCH_CONTAINERS[0] == "zip"


def test_an_experiment_is_a_folder_of_weights_and_options(tmp_path: Path) -> None:
    variant = BY_NAME["unet-64-batch-1to3-w2"]
    save_experiment(variant, tmp_path, model="pix2pix", direction="BtoA", input_nc=1)
    assert set(torch.load(tmp_path / "latest_net_G.pth", weights_only=True)) == set(variant.build(0).state_dict())
    lines = (tmp_path / "train_opt.txt").read_text().splitlines()
    assert f"{'direction':>25}: {'BtoA':<30}\t[default: AtoB]" in lines
    assert f"{'norm':>25}: {'instance':<30}" in options_text({}).splitlines()


def test_the_transposed_convolution_is_the_gradient_of_the_convolution() -> None:
    """That is how TensorFlow defines it."""
    for size in (3, 4, 9):
        kernel, image = torch.randn(size, size, 5, 7), torch.randn(1, 7, 6, 8)
        larger = torch.zeros(1, 5, 12, 16, requires_grad=True)
        same_conv(larger, kernel, 2).mul(image).sum().backward()
        assert torch.allclose(same_conv_transpose(image, kernel), larger.grad, atol=1e-4)


def test_same_padding_is_that_of_onnx_runtime() -> None:
    runtime, helper = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx").helper
    for size, stride, side in ((3, 2, 10), (3, 2, 11), (4, 2, 8), (9, 1, 12)):
        image, kernel = torch.randn(1, 3, side, side + 1), torch.randn(size, size, 3, 5)
        node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[stride, stride])
        values = [helper.make_tensor_value_info(name, 1, None) for name in "xwy"]
        model = helper.make_model(
            helper.make_graph([node], "g", values[:2], values[2:]), opset_imports=[helper.make_opsetid("", 13)]
        )
        model.ir_version = 8
        session = runtime.InferenceSession(model.SerializeToString())
        feed = {"x": image.numpy(), "w": kernel.permute(3, 2, 0, 1).contiguous().numpy()}
        assert np.allclose(same_conv(image, kernel, stride).numpy(), session.run(None, feed)[0], atol=1e-4)


def test_own_statistics_are_an_instance_norm_s_and_leave_the_shift_of_one_pixel() -> None:
    image, scale, shift = torch.randn(2, 5, 6, 7), torch.randn(5), torch.randn(5)
    expected = nn.functional.instance_norm(image, weight=scale, bias=shift, eps=1e-3)
    assert torch.allclose(own_statistics_norm(image, scale, shift, 1e-3), expected, atol=1e-5)
    alone = own_statistics_norm(image[:, :, :1, :1], scale, shift, 1e-3)
    assert torch.equal(alone, shift[:, None, None].expand(2, 5, 1, 1))


def test_the_fast_style_reference_computes_what_a_real_file_s_onnx_export_does(
    real_data: Callable[[str], Path],
) -> None:
    network = TransformerNet(16)
    network.load_state_dict(torch.load(real_data("models/candy_nc16_b1_e2_1e05_1e10.model"), weights_only=True))
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(real_data("models/candy_nc16_256x256_onnxjs013.onnx")))
    frame = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        ours = network(frame)
    theirs = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: frame.numpy()})[0])
    assert float((ours - theirs).abs().max()) < 0.01
