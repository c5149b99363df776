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

# What the functions take is in ``__init__.pyi``, which docs/generate.py writes from the commands.
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a function or the version)
    from vidtrans.commands import COMMANDS, FUNCTIONS, function_names

    known = FUNCTIONS if name in FUNCTIONS or name.startswith("_") else function_names(COMMANDS.working())
    if name in known:
        from vidtrans.commands.base import function_of

        return function_of(COMMANDS.load(known[name]), name)
    raise AttributeError(f"module 'vidtrans' has no attribute '{name}'")


def __dir__() -> list[str]:
    from vidtrans.commands import COMMANDS, function_names

    return ["__version__", *sorted(function_names(COMMANDS.working()))]
