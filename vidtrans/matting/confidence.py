"""What the confidence in mattes says: where a thing was lost, and which frames are worth painting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.matting.tracking import LOST

REACH = 12.0  # frames on either side that a painted frame helps


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
    frames = sorted(confidences)
    doubt = np.array([1 - confidences[frame] for frame in frames])
    at = np.array(frames, np.float64)
    near = np.exp(-np.abs(at[:, None] - at[None]) / REACH)
    found: list[int] = []
    for _ in range(count):
        free = [k for k, frame in enumerate(frames) if frame not in found and frame not in painted]
        if not free:
            break
        best = max(free, key=lambda k: float((near[k] * doubt).sum()))
        found.append(frames[best])
        doubt = doubt * (1 - near[best])
    return sorted(found)


def table_of(confidences: Mapping[int, float]) -> Table:
    """Return the entries of a result about the confidence in its mattes."""
    values = np.array(list(confidences.values()))
    least = min(confidences, key=lambda frame: confidences[frame])
    return {
        "confidence": round(float(values.mean()), 3),
        "least_sure": least,
        "least_confidence": round(confidences[least], 3),
        "confidences": [round(confidences[frame], 3) for frame in sorted(confidences)],
        "lost": lost_parts(confidences),
    }


def confidence_text(tables: Mapping[str, Table]) -> str:
    """Return the lines of a report on the mattes of things, by name ('' for the only one)."""
    lines = []
    for name, table in tables.items():
        whose = f"'{name}': " if name else ""
        mean, least, frame = table["confidence"], table["least_confidence"], table["least_sure"]
        lines.append(f"{whose}confidence {mean:.2f} on average, {least:.2f} in frame {frame}")
        for first, last in table["lost"]:
            lines.append(f"{whose}lost in {f'frames {first} to {last}' if first < last else f'frame {first}'}")
        if table["suggested"]:
            lines.append(f"{whose}most worth painting: {', '.join(map(str, table['suggested']))}")
    return "\n".join(lines)
