"""The commands, one file each: parameters, what it does, its report. A command is a file here and a line below.

A name of two words is one of a group. ``function``: what the command is called in Python, where that is another name.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.registry import Entry, Registry


@dataclass(frozen=True)
class CommandEntry(Entry):
    """A command: its class, the line that ``--help`` shows, and its Python function."""

    function: str = ""


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
            ("run", "run:Run", "The whole chain in one resumable command."),
            ("deflicker", "deflicker:Deflicker", "Take the flicker out of what any tool has made of a video."),
            ("dream", "dream:Dream", "Let a model that predicts frames go on from a seed."),
            ("try", "try_out:Try", "A grid of settings on a few frames, in seconds.", "try_out"),
            ("keyframes", "keyframes:Keyframes", "Which frames of a clip to paint."),
            ("grade", "grade:Grade", "A colour grade, learned from pictures before and after it."),
            ("live", "live:Live", "Draw, or stand before the camera, and see a model answer.", "serve_live"),
            ("evaluate", "evaluate:Evaluate", "How steady, sharp and true a render is, and when it is worst."),
            ("compare", "compare:Compare", "Clips side by side, labelled."),
            ("sheet", "sheet:Sheet", "Frames of a clip, or pairs of a dataset, on one page."),
            ("probe", "probe:Probe", "What a video holds."),
            ("batch report", "batch_report:BatchReport", "Who rendered what, and what failed."),
            ("model list", "model_list:ModelList", "The models that a bare name finds.", "list_models"),
            ("model show", "model_show:ModelShow", "What a model file says of itself.", "show_model"),
            ("model formats", "model_formats:ModelFormats", "The kinds of models that can be used."),
            ("model import", "model_import:ModelImport", "Make a model file of another tool's model.", "import_model"),
            ("model export", "model_export:ModelExport", "Write a model for other programs.", "export_model"),
            ("preset list", "preset_list:PresetList", "The presets that ship.", "list_presets"),
            ("preset show", "preset_show:PresetShow", "A preset's file.", "show_preset"),
            ("cache list", "cache_list:CacheList", "What is kept between runs.", "list_cache"),
            ("cache clean", "cache_clean:CacheClean", "Delete what is kept between runs.", "clean_cache"),
            ("schema", "schema:Schema", "The parameters of commands, for other programs."),
            ("bench", "bench:Bench", "How fast it is here, step by step, and what holds it up."),
            ("doctor", "doctor:Doctor", "Is everything here that a render needs?", "check_installation"),
        )
    },
)
FUNCTIONS = {entry.function or name.replace("-", "_").replace(" ", "_"): name for name, entry in COMMANDS.items()}
GROUPS = {
    "batch": "A page of a night: who rendered what, and what failed.",
    "model": "List, show, import and export models.",
    "preset": "List and show presets.",
    "cache": "List and clean what is kept between runs.",
}
