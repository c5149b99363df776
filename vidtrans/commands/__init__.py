"""The registry of commands.

Each command is a module with its parameters, action and report; a new one needs a line in ``COMMANDS``. A two-word name
is a command of a group. ``function``: the name of the Python function, if it differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vidtrans.core.registry import Entry, Registry


@dataclass(frozen=True)
class CommandEntry(Entry):
    """The registry entry of a command: its class, its line in ``--help``, and the name of its Python function."""

    function: str = ""


# Registry of commands by name on the command line: (name, module:class, line in --help, Python function's name)
COMMANDS = Registry(
    "command",
    {
        name: CommandEntry(f"vidtrans.commands.{path}", summary, *function)
        for name, path, summary, *function in (
            ("demo", "demo:Demo", "See a result in minutes, without a file of your own."),
            ("make-dataset", "make_dataset:MakeDataset", "Make a dataset of pairs from videos."),
            ("train", "train:Train", "Train a model on a dataset."),
            ("stylize", "stylize:Stylize", "Paint videos in a look, or with a model."),
            ("look", "look:Look", "Learn to paint like a picture."),
            ("propagate", "propagate:Propagate", "Paint a few frames, and all others follow."),
            ("fix", "fix:Fix", "Correct a result by painting over a few of its frames."),
            ("matte", "matte:Matte", "Cut a person or a thing out of a whole clip."),
            ("run", "run:Run", "Run the whole chain in one resumable command."),
            ("deflicker", "deflicker:Deflicker", "Remove the flicker from the output of any tool."),
            ("retime", "retime:Retime", "Add frames, change the speed, hold frames, add motion blur."),
            ("dream", "dream:Dream", "Generate new frames, each predicted from the last."),
            ("try", "try_out:Try", "Draw a grid of settings on a few frames, in seconds.", "try_out"),
            ("keyframes", "keyframes:Keyframes", "Choose the frames of a clip to paint."),
            ("grade", "grade:Grade", "Learn a colour grade from pictures before and after it."),
            ("live", "live:Live", "Draw or stand before the camera, and see a model answer.", "serve_live"),
            ("studio", "studio:Studio", "Do all this in a page: looks, painting, renders.", "serve_studio"),
            ("evaluate", "evaluate:Evaluate", "Measure the flicker, sharpness and fidelity of a render."),
            ("vote", "vote:Vote", "Let people judge blind which result is better, or real."),
            ("compare", "compare:Compare", "Put clips side by side, labelled."),
            ("sheet", "sheet:Sheet", "Put frames of a clip, or pairs of a dataset, on one page."),
            ("curves", "curves:Curves", "Show what curves do over a clip, with its sound.", "sample_curves"),
            ("probe", "probe:Probe", "Show the frames, tracks, colours and cuts of a video."),
            (
                "batch report",
                "batch_report:BatchReport",
                "Write a page on the renders of a batch, and on its failures.",
            ),
            ("batch watch", "batch_watch:BatchWatch", "Paint each video that arrives in a folder.", "watch_folder"),
            ("model list", "model:ModelList", "List the models that need no path, only a name.", "list_models"),
            ("model show", "model:ModelShow", "Show the record of a model file.", "show_model"),
            ("model formats", "model:ModelFormats", "List the formats of models that can be used."),
            ("model import", "model_import:ModelImport", "Make a model file of another tool's model.", "import_model"),
            ("model export", "model_export:ModelExport", "Write a model for other programs.", "export_model"),
            ("preset list", "preset:PresetList", "List the presets that ship.", "list_presets"),
            ("preset show", "preset:PresetShow", "Show the file of a preset.", "show_preset"),
            ("cache list", "cache:CacheList", "List the entries of the cache.", "list_cache"),
            ("cache clean", "cache:CacheClean", "Delete entries of the cache.", "clean_cache"),
            ("plugins", "plugins:Plugins", "List the parts that other packages add.", "list_plugins"),
            ("schema", "schema:Schema", "Print the parameters of commands as JSON Schema."),
            ("bench", "bench:Bench", "Measure the speed of each step of a render."),
            (
                "doctor",
                "doctor:Doctor",
                "Check device, codecs, libraries and disk of this machine.",
                "check_installation",
            ),
        )
    },
    group="commands",
)


def function_names(entries: Iterable[tuple[str, CommandEntry]]) -> dict[str, str]:
    """Return a dictionary from the names of Python functions to the names of their commands."""
    return {entry.function or name.replace("-", "_").replace(" ", "_"): name for name, entry in entries}


# Command names ("batch report") by the names of their Python functions (batch_report)
FUNCTIONS = function_names(COMMANDS.builtin.items())
# Lines in ``--help`` of the groups of two-word commands, by group name
GROUPS = {
    "batch": "Watch a folder of videos, and report on batches.",
    "model": "List, show, import, export and share models.",
    "preset": "List and show presets.",
    "cache": "List and delete entries of the cache.",
}
# Commands and groups by the headings under which ``--help`` lists them
SECTIONS = {
    "Make": ("demo", "stylize", "deflicker", "retime", "propagate", "fix", "matte", "dream", "run"),
    "Teach": ("look", "make-dataset", "train", "grade"),
    "Look closer": ("try", "keyframes", "compare", "sheet", "probe", "curves", "evaluate"),
    "Pages": ("studio", "live"),
    "This machine": ("batch", "model", "cache", "doctor"),
}
# Those that only ``--help-all`` lists
RARE = ("bench", "plugins", "preset", "schema", "vote")


def command_lines() -> dict[str, str]:
    """Return the line of each command in ``--help``, by command name.

    Plug-ins are not imported for this; their lines name only their packages.
    """
    lines = {name: entry.summary for name, entry in COMMANDS.builtin.items()}
    return lines | {name: f"Of the plug-in {package}." for name, package in COMMANDS.packages.items()}
