"""How many files a frame passes from the decoder to the encoder, counted in a running render."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from clips import moving_frames
from directed_clip import lossless

# Counts calls of functions of the package between pictures that the encoder gets, in the middle third of the clip.
COUNT = """
import json, sys, threading
from pathlib import Path
import vidtrans
from vidtrans.core.concurrency import threads
from vidtrans.video.io.encoder import SegmentWriter

threads.cores = lambda: 2
threads.buffer_capacity = lambda *size, **least: 2  # else the network is done when the middle third is encoded

root, calls, frames = str(Path(vidtrans.__file__).parent) + "/", [], []

def profile(frame, event, argument):
    name = frame.f_code.co_filename
    if event == "call" and frames and name.startswith(root):
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(root):
            caller = caller.f_back
        calls.append((caller.f_code.co_filename[len(root):] if caller else "", name[len(root):]))

def counted(self, *arguments):
    write(self, *arguments)
    frames.append(len(calls))

write, SegmentWriter.write = SegmentWriter.write, counted
threading.setprofile(profile)
sys.setprofile(profile)
found, room = [], lambda file: file.split("/")[0]
for name in ("off", "window"):
    del calls[:], frames[:]
    settings = {"temporal": {"name": name}, "rendering": {"chunk_frames": 200}}
    vidtrans.stylize("clip.mp4", "flower", name + ".mp4", settings=settings, device="cpu")
    steady = calls[frames[len(frames) // 3] : frames[2 * len(frames) // 3]]
    crossings = {(room(a), room(b)) for a, b in steady if a and room(a) != room(b)}
    both_ways = sorted({tuple(sorted(c)) for c in crossings if c[::-1] in crossings})
    found.append([sorted({file for _, file in steady}), both_ways])
sys.setprofile(None)
print(json.dumps(found))
"""


def test_a_frame_passes_few_files_and_no_two_rooms_call_each_other(tmp_path: Path) -> None:
    """Seconds: a process in which every call of Python is counted."""
    lossless(tmp_path / "clip.mp4", moving_frames(75))  # its reader ends well behind the middle third
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    for (files, both_ways), most, is_filtered in zip(found, (16, 18), (False, True), strict=True):
        assert "rendering/frame_renderer.py" in files
        assert ("temporal/window.py" in files) == is_filtered
        assert len(files) <= most, "\n".join(files)
        # A network and its layers do.
        assert both_ways in ([], [["inference", "networks"]])
