"""The ComfyUI node pack, imported against a stand-in of ComfyUI's interface; a batch of images without torch."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
PACK = REPOSITORY / "integrations" / "comfyui"
INTERFACE = Path(__file__).with_name("comfy_interface")
NAME = "comfyui_pack_under_test"
STAND_INS = ("comfy_api", "comfy", "folder_paths", NAME)
WORKFLOWS = sorted((PACK / "example_workflows").glob("*.json"))
Graph = dict[str, Any]


def load_pack() -> ModuleType:
    """Import the pack as ComfyUI does: by the path of its ``__init__.py``. Needs the stand-in in ``sys.path``."""
    spec = importlib.util.spec_from_file_location(NAME, PACK / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


def forget_pack() -> None:
    """Remove the pack and the stand-in from ``sys.modules``."""
    for name in [one for one in sys.modules if one.partition(".")[0] in STAND_INS]:
        del sys.modules[name]


def load_file(name: str) -> ModuleType:
    """Import a file of the pack that is run by itself, such as ``launch``."""
    spec = importlib.util.spec_from_file_location(f"comfyui_{name}", PACK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def process_environment() -> dict[str, str]:
    """Return the variables by which the nodes' processes find the vidtrans that is tested."""
    import vidtrans

    package = Path(vidtrans.__file__).parents[1]
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    return {"VIDTRANS_PYTHON": sys.executable, "PYTHONPATH": path}


class ImageBatch:
    """A batch of images with what the nodes use of a tensor: float32, (frames, height, width, channels)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def numel(self) -> int:
        return int(self.array.size)

    def element_size(self) -> int:
        return self.array.itemsize

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, key: Any) -> ImageBatch:
        return ImageBatch(self.array[key])

    def __iter__(self) -> Any:
        return (ImageBatch(one) for one in self.array)

    def __mul__(self, factor: float) -> ImageBatch:
        return ImageBatch(self.array * factor)

    def round(self) -> ImageBatch:
        return ImageBatch(np.rint(self.array))

    def clamp(self, low: float, high: float) -> ImageBatch:
        return ImageBatch(self.array.clip(low, high))

    def byte(self) -> ImageBatch:
        return ImageBatch(self.array.astype(np.uint8))

    def float(self) -> ImageBatch:
        return ImageBatch(self.array.astype(np.float32))

    def cpu(self) -> ImageBatch:
        return self

    def contiguous(self) -> ImageBatch:
        return self

    def numpy(self) -> np.ndarray:
        return self.array


def images(frames: list[np.ndarray]) -> ImageBatch:
    """Return frames (H, W, 3) uint8 as an IMAGE batch."""
    return ImageBatch(np.stack(frames).astype(np.float32) / np.float32(255.0))


def read_graph(path: Path) -> Graph:
    """Return a workflow as the editor saves it."""
    graph: Graph = json.loads(path.read_text(encoding="utf-8"))
    return graph


def widget_values(node: Graph) -> dict[str, Any]:
    """Return the values of a node's widgets by name."""
    values, found = iter(node["widgets_values"]), {}
    for one in node["inputs"]:
        if "widget" in one:
            found[one["name"]] = next(values)
            if one["name"] == "seed":
                next(values)  # what becomes of it after a run
    return found


def to_api(graph: Graph) -> Graph:
    """Return a workflow of the editor in the format of the API: inputs by name, links as number and slot."""
    links = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    found: Graph = {}
    for node in graph["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        inputs = widget_values(node)
        inputs |= {one["name"]: links[one["link"]] for one in node["inputs"] if one["link"] is not None}
        found[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return found


def number_of(workflow: Graph, kind: str) -> str:
    """Return the number of the first node of a kind in a workflow of the API."""
    return next(number for number, node in workflow.items() if node["class_type"] == kind)
