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
            ("demo", "demo:Demo", "See a result in minutes; needs no file of yours."),
            ("make-dataset", "make_dataset:MakeDataset", "Videos in, a dataset of pairs out."),
            ("train", "train:Train", "A dataset in, a model out."),
            ("stylize", "stylize:Stylize", "Render a model onto videos."),
            ("look", "look:Look", "A painting in, a model that paints like it out."),
            ("propagate", "propagate:Propagate", "Painted frames in, the whole clip painted out."),
            ("fix", "fix:Fix", "Paint over frames of a result, and the others follow."),
            ("matte", "matte:Matte", "A painted frame in, one thing cut out of the whole clip."),
            ("run", "run:Run", "The whole chain in one resumable command."),
            ("deflicker", "deflicker:Deflicker", "Take the flicker out of what any tool has made of a video."),
            ("retime", "retime:Retime", "Frames between frames, slow motion, held frames, motion blur."),
            ("dream", "dream:Dream", "Generate frames from a seed, each predicted from the last."),
            ("try", "try_out:Try", "Draw a grid of settings on a few frames, in seconds.", "try_out"),
            ("keyframes", "keyframes:Keyframes", "Choose the frames of a clip to paint."),
            ("grade", "grade:Grade", "A colour grade, learned from pictures before and after it."),
            ("live", "live:Live", "Draw, or stand before the camera, and see a model answer.", "serve_live"),
            ("studio", "studio:Studio", "The whole chain in a page: looks, painting, renders.", "serve_studio"),
            ("evaluate", "evaluate:Evaluate", "Measure the flicker, sharpness and fidelity of a render."),
            ("vote", "vote:Vote", "People judge results blind: which is preferred, or real."),
            ("compare", "compare:Compare", "Put clips side by side, labelled."),
            ("sheet", "sheet:Sheet", "Put frames of a clip, or pairs of a dataset, on one page."),
            ("curves", "curves:Curves", "Show what curves do over a clip, with its sound.", "sample_curves"),
            ("probe", "probe:Probe", "Show the frames, tracks, colours and cuts of a video."),
            (
                "batch report",
                "batch_report:BatchReport",
                "Write a page on the renders of a batch, and on its failures.",
            ),
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
    "batch": "Report on batches of renders.",
    "model": "List, show, import, export and share models.",
    "preset": "List and show presets.",
    "cache": "List and delete entries of the cache.",
}


def command_lines() -> dict[str, str]:
    """Return the line of each command in ``--help``, by command name.

    Plug-ins are not imported for this; their lines name only their packages.
    """
    lines = {name: entry.summary for name, entry in COMMANDS.builtin.items()}
    return lines | {name: f"Of the plug-in {package}." for name, package in COMMANDS.packages.items()}
