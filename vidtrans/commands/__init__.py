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
            ("demo", "demo:Demo", "Make a sample result in minutes, without your own files."),
            ("make-dataset", "make_dataset:MakeDataset", "Make a dataset of pairs from videos."),
            ("train", "train:Train", "Train a model on a dataset."),
            ("stylize", "stylize:Stylize", "Paint videos in a look, or with a model."),
            ("look", "look:Look", "Train a model on the style of a picture."),
            ("propagate", "propagate:Propagate", "Apply a few painted frames to the whole clip."),
            ("fix", "fix:Fix", "Correct a result by painting over a few of its frames."),
            ("matte", "matte:Matte", "Cut a person or an object out of a clip."),
            ("run", "run:Run", "Learn a look and render it, in one resumable command."),
            ("deflicker", "deflicker:Deflicker", "Remove flicker from the output of any tool."),
            ("retime", "retime:Retime", "Add frames, change the speed, hold frames, add motion blur."),
            ("dream", "dream:Dream", "Generate new frames, each predicted from the previous one."),
            ("try", "try_out:Try", "Compare settings on a few frames, in seconds.", "try_out"),
            ("keyframes", "keyframes:Keyframes", "Choose the best frames of a clip for painting."),
            ("grade", "grade:Grade", "Learn a colour grade from pictures before and after grading."),
            ("live", "live:Live", "Run models live on a camera or a drawing.", "serve_live"),
            ("studio", "studio:Studio", "Use looks, painting and renders in a browser page.", "serve_studio"),
            ("evaluate", "evaluate:Evaluate", "Measure the flicker, sharpness and fidelity of a render."),
            ("vote", "vote:Vote", "Run a blind vote: which result is better, or real."),
            ("compare", "compare:Compare", "Show clips side by side, with labels."),
            ("sheet", "sheet:Sheet", "Put frames of a clip, or pairs of a dataset, into one picture."),
            ("curves", "curves:Curves", "Show the values of curves over a clip, with its sound.", "sample_curves"),
            ("probe", "probe:Probe", "Show the frames, tracks, colours and cuts of a video."),
            (
                "batch report",
                "batch_report:BatchReport",
                "Write a report page on the renders and failures of a batch.",
            ),
            ("batch watch", "batch_watch:BatchWatch", "Paint each new video in a folder.", "watch_folder"),
            ("model list", "model:ModelList", "List the models that have a name.", "list_models"),
            ("model show", "model:ModelShow", "Show the record of a model file.", "show_model"),
            ("model formats", "model:ModelFormats", "List the supported model formats."),
            (
                "model import",
                "model_import:ModelImport",
                "Convert a model of another tool to a model file.",
                "import_model",
            ),
            ("model export", "model_export:ModelExport", "Export a model for other programs.", "export_model"),
            ("preset list", "preset:PresetList", "List the presets that ship.", "list_presets"),
            ("preset show", "preset:PresetShow", "Show the file of a preset.", "show_preset"),
            ("cache list", "cache:CacheList", "List the entries of the cache.", "list_cache"),
            ("cache clean", "cache:CacheClean", "Delete entries of the cache.", "clean_cache"),
            ("plugins", "plugins:Plugins", "List the plug-ins of other packages.", "list_plugins"),
            ("schema", "schema:Schema", "Print the parameters of commands as JSON Schema."),
            ("bench", "bench:Bench", "Measure the speed of each step of a render."),
            (
                "doctor",
                "doctor:Doctor",
                "Check the device, codecs, libraries and disk of this machine.",
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
