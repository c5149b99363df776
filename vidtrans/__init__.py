"""vidtrans: teach a look from video; render it onto video; without flicker.

The commands are functions::

    import vidtrans

    vidtrans.make_dataset("clip.mp4")
    vidtrans.train("clip.dataset", steps=3000)
    vidtrans.stylize("other.mp4", model="clip")
    vidtrans.evaluate("other.clip.mp4", source="other.mp4")

Frames go in and come out as arrays or tensors, (H, W, 3) RGB::

    clip, model = vidtrans.open_clip("other.mp4"), vidtrans.load_model("clip")
    picture = model(clip[0])
    vidtrans.write_clip(model.render(clip), "painted.mp4", like=clip)

Nothing heavy is imported until a function is used.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public names other than commands, each with MODULE:NAME of the object.
LIBRARY = {
    "BatchError": "vidtrans.core.errors:BatchError",
    "BatchStatus": "vidtrans.core.events:BatchStatus",
    "ClipFrame": "vidtrans.library.picture_arrays:ClipFrame",
    "ClipScores": "vidtrans.commands.results:ClipScores",
    "CommandResult": "vidtrans.commands.results:CommandResult",
    "Deflicker": "vidtrans.library.frame_model:DeflickeredFrames",
    "DatasetPair": "vidtrans.library.opened_dataset:DatasetPair",
    "DeviceError": "vidtrans.core.errors:DeviceError",
    "Event": "vidtrans.core.events:Event",
    "FrameModel": "vidtrans.library.frame_model:FrameModel",
    "Interrupted": "vidtrans.core.errors:Interrupted",
    "MadeDataset": "vidtrans.commands.results:MadeDataset",
    "MadePicture": "vidtrans.commands.results:MadePicture",
    "MediaError": "vidtrans.core.errors:MediaError",
    "ModelError": "vidtrans.core.errors:ModelError",
    "Note": "vidtrans.core.events:Note",
    "OpenedClip": "vidtrans.library.opened_clip:OpenedClip",
    "OpenedDataset": "vidtrans.library.opened_dataset:OpenedDataset",
    "PictureCritic": "vidtrans.library.picture_critic:PictureCritic",
    "PluginError": "vidtrans.core.errors:PluginError",
    "Preview": "vidtrans.core.events:Preview",
    "ProbedClip": "vidtrans.commands.results:ProbedClip",
    "Progress": "vidtrans.core.events:Progress",
    "Propagator": "vidtrans.library.propagator:Propagator",
    "RenderedClip": "vidtrans.commands.results:RenderedClip",
    "Report": "vidtrans.core.events:Report",
    "SampledCurves": "vidtrans.commands.results:SampledCurves",
    "Stop": "vidtrans.core.events:Stop",
    "TrainedModel": "vidtrans.commands.results:TrainedModel",
    "UsageError": "vidtrans.core.errors:UsageError",
    "VidtransError": "vidtrans.core.errors:VidtransError",
    "VoteOutcome": "vidtrans.commands.results:VoteOutcome",
    "load_model": "vidtrans.library.frame_model:load_model",
    "medium_names": "vidtrans.strokes.media:medium_names",
    "medium_picture": "vidtrans.strokes.media:medium_picture",
    "model_suffixes": "vidtrans.models.formats:model_suffixes",
    "open_clip": "vidtrans.library.opened_clip:open_clip",
    "open_dataset": "vidtrans.library.opened_dataset:open_dataset",
    "painting_names": "vidtrans.models.paintings:painting_names",
    "painting_picture": "vidtrans.models.paintings:painting_picture",
    "shipped_looks": "vidtrans.models.paintings:shipped_looks",
    "write_clip": "vidtrans.library.opened_clip:write_clip",
}
# The functions' parameters are in ``__init__.pyi``, which docs/generate.py writes from the commands.
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a function or a class)
    if name in LIBRARY:
        module, _, own = LIBRARY[name].partition(":")
        return getattr(importlib.import_module(module), own)
    from vidtrans.commands import COMMANDS, FUNCTIONS, function_names

    known = FUNCTIONS if name in FUNCTIONS or name.startswith("_") else function_names(COMMANDS.working_entries())
    if name in known:
        from vidtrans.commands.python_functions import function_of

        return function_of(COMMANDS.load(known[name]), name)
    raise AttributeError(f"module 'vidtrans' has no attribute '{name}'")


def __dir__() -> list[str]:
    from vidtrans.commands import COMMANDS, function_names

    return ["__version__", *sorted({*function_names(COMMANDS.working_entries()), *LIBRARY})]
