"""vidtrans: teach a look from video; render it onto video; without flicker.

The Python API has the steps of the chain::

    import vidtrans

    vidtrans.make_dataset("clip.mp4")
    vidtrans.train("clip.dataset", steps=2000)
    vidtrans.stylize("other.mp4", model="clip")
    vidtrans.evaluate("other.clip.mp4", source="other.mp4")

Nothing heavy is imported until a function is used.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "ablate",
    "batch_report",
    "deflicker",
    "dream",
    "evaluate",
    "export_model",
    "fix",
    "grade",
    "import_model",
    "keyframes",
    "look",
    "make_dataset",
    "probe",
    "propagate",
    "run",
    "serve_live",
    "stylize",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a function or the version)
    from vidtrans.commands import COMMANDS, FUNCTIONS

    if name in FUNCTIONS:
        from vidtrans.commands.base import function_of

        return function_of(COMMANDS.load(FUNCTIONS[name]), name)
    if name in __all__:
        from vidtrans import api

        return getattr(api, name)
    raise AttributeError(f"module 'vidtrans' has no attribute '{name}'")
