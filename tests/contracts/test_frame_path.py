"""How many files a frame passes from the decoder to the encoder, counted in a running render."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import moving_frames
from directed_clip import lossless

# Counts calls of functions of the package between pictures that the encoder gets, in the middle third of the clip.
COUNT = """
import json, sys, threading
from pathlib import Path
import vidtrans
from vidtrans.concurrency import threads
from vidtrans.video.io.encoder import SegmentWriter

threads.cores = lambda: 2
threads.buffer_capacity = lambda *size: 2  # else the network is done when the middle third is encoded

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
settings = {"temporal": {"name": sys.argv[1]}, "rendering": {"chunk_frames": 200}}
vidtrans.stylize("clip.mp4", "flower", "out.mp4", settings=settings)
sys.setprofile(None)
steady = calls[frames[len(frames) // 3] : frames[2 * len(frames) // 3]]
room = lambda file: file.split("/")[0]
crossings = {(room(a), room(b)) for a, b in steady if a and room(a) != room(b)}
both_ways = sorted({tuple(sorted(c)) for c in crossings if c[::-1] in crossings})
print(json.dumps([sorted({file for _, file in steady}), both_ways]))
"""


@pytest.mark.parametrize(("temporal", "most"), [("off", 15), ("window", 19)])
def test_a_frame_passes_few_files_and_no_two_rooms_call_each_other(temporal: str, most: int, tmp_path: Path) -> None:
    lossless(tmp_path / "clip.mp4", moving_frames(75))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    script = [sys.executable, "-c", COUNT, temporal]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    files, both_ways = json.loads(done.stdout.splitlines()[-1])
    assert "rendering/frame_renderer.py" in files
    assert ("temporal/window.py" in files) == (temporal == "window")
    assert len(files) <= most, "\n".join(files)
    # A network and its layers do.
    assert both_ways in ([], [["inference", "networks"]])
