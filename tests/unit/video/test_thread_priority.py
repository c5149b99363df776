"""Encoders that make their threads real-time ones where they may, which root may."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat

PICTURE = PictureFormat(64, 64, Fraction(1), Fraction(1, 25), Fraction(25))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has scheduling classes")
@pytest.mark.parametrize("codec", ["av1", "h265"])
def test_an_encoder_leaves_the_machine_to_others(codec: str) -> None:
    writer = SegmentWriter(Path("segment.nut"), PICTURE, EncodingSettings(codec=codec))
    for number in range(3):
        writer.write(np.zeros((64, 64, 3), np.uint8), number)
    classes = {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
    writer.close()
    assert classes == {os.SCHED_OTHER}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
