"""The commands, one file each: parameters, what it does, its report. A command is a file here and a line below."""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

COMMANDS = Registry(
    "command",
    {
        "deflicker": Entry(
            "vidtrans.commands.deflicker:Deflicker", "Take the flicker out of what any tool has made of a video."
        ),
        "try": Entry("vidtrans.commands.try_out:Try", "A grid of settings on a few frames, in seconds."),
        "keyframes": Entry("vidtrans.commands.keyframes:Keyframes", "Which frames of a clip to paint."),
        "grade": Entry("vidtrans.commands.grade:Grade", "A colour grade, learned from pictures before and after it."),
        "compare": Entry("vidtrans.commands.compare:Compare", "Clips side by side, labelled."),
        "sheet": Entry("vidtrans.commands.sheet:Sheet", "Frames of a clip, or pairs of a dataset, on one page."),
        "probe": Entry("vidtrans.commands.probe:Probe", "What a video holds."),
    },
)
