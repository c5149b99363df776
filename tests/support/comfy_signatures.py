"""Print the signatures of ComfyUI that the nodes use, as JSON. Run in ComfyUI's Python, or on the stand-in."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any

USED = {
    "comfy_api.latest": [
        "io.Schema", "io.NodeOutput", "io.Combo.Input", "io.Boolean.Input", "io.Int.Input", "io.Float.Input",
        "io.String.Input", "io.String.Output", "io.Video.Output", "io.Image.Output", "io.MultiType.Input", "io.Custom",
        "ui.PreviewVideo", "ui.PreviewText", "ui.SavedResult", "InputImpl.VideoFromFile",
        "InputImpl.VideoFromFile.get_stream_source", "InputImpl.VideoFromFile.get_container_format",
        "InputImpl.VideoFromComponents", "InputImpl.VideoFromComponents.get_components",
    ],
    "folder_paths": [
        "get_input_directory", "get_output_directory", "get_temp_directory", "annotated_filepath",
        "add_model_folder_path", "get_folder_paths", "get_filename_list", "get_full_path",
    ],
    "comfy.utils": ["ProgressBar", "ProgressBar.update_absolute"],
    "comfy.model_management": [
        "get_torch_device", "unload_all_models", "soft_empty_cache", "throw_exception_if_processing_interrupted",
    ],
}  # fmt: skip


def signatures() -> dict[str, list[str]]:
    """Return the parameters of each by its name, those of a constructor without ``self``."""
    found = {}
    for module, names in USED.items():
        for name in names:
            one: Any = importlib.import_module(module)
            for part in name.split("."):
                one = getattr(one, part)
            found[f"{module}.{name}"] = [
                p.name + ("=" if p.default is not p.empty else "") for p in inspect.signature(one).parameters.values()
            ]
    return found


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    sys.argv = sys.argv[:1] + sys.argv[2:]
    if "--cpu" in sys.argv:  # ComfyUI, which reads it only when asked
        importlib.import_module("comfy.options").enable_args_parsing()
    found = signatures()
    sys.stdout.write("\n" + json.dumps(found) + "\n")
