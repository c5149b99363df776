"""Write the networks that find people and faces, from the TFLite files of MediaPipe (Google, Apache 2.0).

    pip install tflite
    python examples/people_networks.py FOLDER vidtrans/assets/networks

FOLDER has the files named in ``NETWORKS``: ``selfie_segmentation.tflite`` of the npm package
``@mediapipe/selfie_segmentation`` 0.1.1675465747, the others of the folder ``modules`` of the wheel ``mediapipe``
0.10.21 on PyPI. Of the pose network only the mask and the heat maps of joints are kept. Weights are stored as float16;
those of large layers of the pose network as 8-bit integers with a step for each output channel.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
from safetensors.torch import save_file

# Source, SHA-256, indices of the kept outputs, and least number of values of a weight that is stored in 8 bits
NETWORKS = {
    "person": (
        "selfie_segmentation.tflite",
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        (0,),
        None,
    ),
    "pose": (
        "pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        (2, 3),
        5000,
    ),
    "face": (
        "face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        (0, 1),
        None,
    ),
}
OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
ACTIVATIONS = {0: "", 1: "relu", 3: "relu6"}
CLIPS = (1, 0.9, 0.8, 0.7, 0.6)  # Shares of the largest weight that are tried as the largest 8-bit value


class Graph:
    """A TFLite file as a list of layers and their tensors."""

    def __init__(self, path: Path) -> None:
        model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        self.model, self.graph = model, model.Subgraphs(0)
        self.constants: dict[int, np.ndarray] = {}
        for number in range(self.graph.TensorsLength()):
            tensor = self.graph.Tensors(number)
            data = model.Buffers(tensor.Buffer()).DataAsNumpy()
            if not isinstance(data, int) and len(data):
                values = np.frombuffer(data.tobytes(), DTYPES[tensor.Type()])
                self.constants[number] = values.reshape(self.shape(number))
        self.tensors: dict[str, np.ndarray] = {}
        self.layers: list[tuple[str, list[int], int, dict[str, Any]]] = []
        for number in range(self.graph.OperatorsLength()):
            self._add(self.graph.Operators(number))

    def shape(self, number: int) -> list[int]:
        """Return the shape of a tensor: pictures are (1, H, W, C)."""
        return [int(side) for side in self.graph.Tensors(number).ShapeAsNumpy()]

    def _weights(self, number: int, bias: int, axes: tuple[int, ...]) -> str:
        """Store a weight with its axes in torch's order, and a bias; return their name."""
        name = str(number)
        self.tensors[f"{name}.weight"] = self.constants[number].astype(np.float32).transpose(axes)
        self.tensors[f"{name}.bias"] = self.constants[bias].astype(np.float32)
        return name

    def _add(self, operator: Any) -> None:  # noqa: ANN401, C901  (one branch for each kind)
        """Add the layer of an operator."""
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        kind = OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs, output = [int(number) for number in operator.InputsAsNumpy()], int(operator.Outputs(0))

        def options(of: type) -> Any:  # noqa: ANN401
            """Return the options of the operator."""
            found, table = of(), operator.BuiltinOptions()
            found.Init(table.Bytes, table.Pos)
            return found

        if kind == "DEQUANTIZE":
            self.constants[output] = self.constants[inputs[0]]
            return
        settings: dict[str, Any] = {}
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            each = options(tflite.Conv2DOptions if kind == "CONV_2D" else tflite.DepthwiseConv2DOptions)
            axes = (0, 3, 1, 2) if kind == "CONV_2D" else (3, 0, 1, 2)
            groups = 1 if kind == "CONV_2D" else self.constants[inputs[1]].shape[3]
            settings = {"name": self._weights(inputs[1], inputs[2], axes), "same": each.Padding() == 0}
            settings |= {"stride": each.StrideH(), "groups": groups}
            settings["activation"] = ACTIVATIONS[each.FusedActivationFunction()]
            kind, inputs = "convolution", inputs[:1]
        elif kind == "CUSTOM":  # Convolution2DTransposeBias
            settings = {"name": self._weights(inputs[1], inputs[2], (3, 0, 1, 2)), "stride": 2}
            kind, inputs = "transposed", inputs[:1]
        elif kind == "ADD":
            settings = {"activation": ACTIVATIONS[options(tflite.AddOptions).FusedActivationFunction()]}
        elif kind in ("AVERAGE_POOL_2D", "MEAN"):  # Over the whole picture
            kind, inputs = "mean", inputs[:1]
        elif kind == "MAX_POOL_2D":
            each = options(tflite.Pool2DOptions)
            settings = {"kernel": [each.FilterHeight(), each.FilterWidth()], "stride": each.StrideH()}
            settings["same"] = each.Padding() == 0
        elif kind == "RESIZE_BILINEAR":
            each = options(tflite.ResizeBilinearOptions)
            settings = {"size": [int(side) for side in self.constants[inputs[1]]], "corners": bool(each.AlignCorners())}
            kind, inputs = "resize", inputs[:1]
        elif kind == "PAD":
            pads = self.constants[inputs[1]]
            settings = {"pads": [int(value) for value in (*pads[2], *pads[1], *pads[3])]}
            inputs = inputs[:1]
        elif kind == "RESHAPE":
            settings = {"width": self.shape(output)[-1]}
            kind, inputs = "rows", inputs[:1]
        elif kind == "CONCATENATION":
            settings = {"axis": 1}
        names = {"LOGISTIC": "sigmoid", "MUL": "multiply", "CONCATENATION": "concatenate", "MAX_POOL_2D": "max_pool"}
        self.layers.append((names.get(kind, kind.lower()), inputs, output, settings))

    def keep(self, outputs: list[int]) -> None:
        """Leave out all layers and tensors that the outputs do not need."""
        made, needed, rest = {layer[2]: layer for layer in self.layers}, set(), list(outputs)
        while rest:
            number = rest.pop()
            if number in made and number not in needed:
                needed.add(number)
                rest += made[number][1]
        self.layers = [layer for layer in self.layers if layer[2] in needed]
        names = {layer[3]["name"] for layer in self.layers if "name" in layer[3]}
        self.tensors = {name: one for name, one in self.tensors.items() if name.rpartition(".")[0] in names}


def in_8_bits(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a weight as int8, and its steps for each output channel: those with the least squared error."""
    flat = weight.flatten(1)
    largest = flat.abs().amax(1, keepdim=True).clamp_min(1e-12)
    steps = torch.stack([largest * share / 127 for share in CLIPS]).half().float()
    errors = torch.stack([((flat / s).round().clamp(-127, 127) * s - flat).square().sum(1) for s in steps])
    step = steps[errors.argmin(0), torch.arange(len(flat))]
    values = (flat / step).round().clamp(-127, 127).to(torch.int8).view_as(weight)
    return values.contiguous(), step[:, 0].half()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    for name, (file, known, kept, limit) in NETWORKS.items():
        path = options.folder / file
        if hashlib.sha256(path.read_bytes()).hexdigest() != known:
            parser.error(f"{path}: its SHA-256 is not the known one")
        graph = Graph(path)
        outputs = [int(graph.graph.Outputs(number)) for number in kept]
        graph.keep(outputs)
        tensors = {}
        for key, values in graph.tensors.items():
            tensor = torch.from_numpy(np.ascontiguousarray(values))
            if limit and key.endswith(".weight") and tensor.shape[1] > 1 and tensor.numel() >= limit:
                tensors[key], tensors[f"{key.removesuffix('.weight')}.step"] = in_8_bits(tensor)
            else:
                tensors[key] = tensor.half()
        source = int(graph.graph.Inputs(0))
        network = {"input": source, "outputs": outputs, "size": graph.shape(source)[1:3], "layers": graph.layers}
        text = json.dumps(network, separators=(",", ":"))
        save_file(tensors, options.output / f"{name}.safetensors", metadata={"network": text})


if __name__ == "__main__":
    main()
