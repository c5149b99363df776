"""What the confidence in mattes says: where a thing was lost, and which frames are worth painting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.matting.tracking import LOST

REACH, FARTHEST = 12.0, 96  # frames on either side that a painted frame helps: on average, and at most


def lost_parts(confidences: Mapping[int, float]) -> list[list[int]]:
    """Return the parts, [first, last], in which the confidence is so low that the thing counts as lost."""
    found: list[list[int]] = []
    for frame in (frame for frame in sorted(confidences) if confidences[frame] < LOST):
        if found and found[-1][1] == frame - 1:
            found[-1][1] = frame
        else:
            found.append([frame, frame])
    return found


def suggested(confidences: Mapping[int, float], painted: Sequence[int], count: int) -> list[int]:
    """Return the frames, in order, on which painting would help most: where it and its neighbours are least sure."""
    first, last = min(confidences), max(confidences)
    doubt = np.zeros(last - first + 1)
    for frame, sure in confidences.items():
        doubt[frame - first] = 1 - sure
    free = {frame - first for frame in confidences if frame not in painted}
    offsets = np.arange(-FARTHEST, FARTHEST + 1)
    near, found = np.exp(-np.abs(offsets) / REACH), list[int]()
    for _ in range(min(count, len(free))):
        gains = np.convolve(doubt, near)[FARTHEST:-FARTHEST]
        best = max(free, key=lambda place: (gains[place], -place))
        free.remove(best)
        found.append(best + first)
        around = np.abs(np.arange(len(doubt)) - best)
        doubt = doubt * (1 - np.exp(-around / REACH))
    return sorted(found)


def table_of(confidences: Mapping[int, float]) -> Table:
    """Return the entries of a result about the confidence in its mattes."""
    values = np.array(list(confidences.values()))
    least = min(confidences, key=lambda frame: confidences[frame])
    return {
        "confidence": round(float(values.mean()), 3),
        "least_sure": least,
        "least_confidence": round(confidences[least], 3),
        "lost": lost_parts(confidences),
    }


def _by_name(table: Table) -> dict[str, Table]:
    """Return the results of several things by name; '' is the only one."""
    return table.get("things") or {"": table}


def confidence_text(whole: Table) -> str:
    """Return the lines of a report on the result of a command, of one thing or of several."""
    lines = []
    for name, table in _by_name(whole).items():
        whose = f"'{name}': " if name else ""
        mean, least, frame = table["confidence"], table["least_confidence"], table["least_sure"]
        lines.append(f"{whose}confidence {mean:.2f} on average, {least:.2f} in frame {frame}")
        for first, last in table["lost"]:
            lines.append(f"{whose}lost in {f'frames {first} to {last}' if first < last else f'frame {first}'}")
        if table["suggested"]:
            lines.append(f"{whose}most worth painting: {', '.join(map(str, table['suggested']))}")
    return "\n".join(lines)


def check_confidence(whole: Table, least: float) -> None:
    """Raise VidtransError where the confidence in a frame of the result of a command is below ``least``."""
    for name, table in _by_name(whole).items():
        sure, frame = table["least_confidence"], table["least_sure"]
        if sure < least:
            why = f"the confidence{f' in {name!r}' if name else ''} is {sure:.2f} in frame {frame}"
            raise VidtransError(table["output"], why, f"paint frame {frame}, or lower --min-confidence {least:g}")
