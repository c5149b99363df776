"""The stages of the batched window filter, for one shot: each is as far as the frames that it looks ahead at allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from vidtrans.flow.scaling import grid_size
from vidtrans.temporal.batch_detail import BatchDetail
from vidtrans.temporal.batch_levels import average_along, write_shares
from vidtrans.temporal.batch_tracking import BatchTracker
from vidtrans.temporal.fine_detail import LOW, REACH
from vidtrans.temporal.rolling_buffer import RollingBuffer
from vidtrans.temporal.settings import DeflickerSettings, WindowSettings
from vidtrans.temporal.tensor_operations import (
    Size,
    blur,
    grey_levels,
    grow,
    interior,
    planes,
    repeat_border,
    shrink,
)
from vidtrans.temporal.window import AROUND, FULL_LEVELS, SURE


class ShotStages:
    """All that is kept of a shot's frames, numbered from 0, and what is computed of them.

    Each stage writes a buffer of its name: "raw" (the look), "prepared" and "guide" (the input, for the flow and on the
    grid), "way 1", "way 2", … (the motion), "level 0", "level 1", … (averages at full size), "low 0", … (on the grid),
    "share 0", … (of how many frames), "bands", "energy", and "fine" with "lacking" (the correction of fine structure).
    """

    def __init__(self, settings: WindowSettings, tracker: BatchTracker, size: Size, full: int, device: torch.device):
        """``size``: of the pictures; ``full``: the largest value of the look's, 255 or 65535."""
        self._settings, self._tracker, self._size, self._full = settings, tracker, size, full
        self._grid: Size = grid_size(*size)[::-1]
        self._levels = len(tracker.steps)
        self._top = min(FULL_LEVELS, self._levels)
        self._detail = BatchDetail(settings, size, self._grid, tracker.steps[:2])
        self.buffers = self._make_buffers(device)
        self.done = 0  # frames whose pictures were returned

    def _make_buffers(self, device: torch.device) -> dict[str, RollingBuffer]:
        padded, grid = (4, self._size[0] + 2, self._size[1] + 2), self._grid
        raw = RollingBuffer(*self._size, 3, dtype=torch.uint8 if self._full == 255 else torch.int16, device=device)
        made = {"raw": raw, **self._tracker.buffers(device)}
        made |= {f"level {n}": RollingBuffer(*padded, device=device) for n in range(self._top + 1)}
        # Averages on the grid have a border where they are averaged further.
        coarse = (4, grid[0] + 2, grid[1] + 2)
        made |= {f"low {n}": RollingBuffer(*coarse, device=device) for n in (0, *range(self._top, self._levels + 1))}
        made |= {f"share {n}": RollingBuffer(1, *grid, device=device) for n in range(self._levels + 1)}
        made |= {"bands": RollingBuffer(*padded, device=device)}
        made |= {"energy": RollingBuffer(2, *self._detail.half, device=device)}
        made |= {"fine": RollingBuffer(3, *self._size, device=device)}
        return made | {"lacking": RollingBuffer(4, *grid, device=device)}

    def trim(self) -> None:
        """Give back memory that no frame is in."""
        for buffer in self.buffers.values():
            buffer.trim()

    # The stages

    def take(self, guides: torch.Tensor, outputs: torch.Tensor) -> None:
        """Take the next frames, (n, H, W, 3) each, of 8 bits or, in int16, of 16."""
        at, count = self.buffers, len(outputs)
        padded = at["level 0"].reserve(count)
        picture = interior(padded)
        prepared, on_grid = write_picture(self._tracker, guides, outputs, picture)
        repeat_border(padded)
        low = at["low 0"].reserve(count)
        interior(low).copy_(shrink(picture, self._grid))
        bands = at["bands"].reserve(count)
        self._detail.split(picture, interior(bands))
        repeat_border(bands)
        energy = self._detail.energy(interior(bands))
        parts = {"raw": outputs, "prepared": prepared, "guide": on_grid, "energy": energy}
        for name, part in parts.items():
            at[name].reserve(count).copy_(part)
        at["share 0"].reserve(count).fill_(1)
        for name in (*parts, "level 0", "low 0", "bands", "share 0"):
            at[name].commit(count)

    def advance(self, batch_size: int, *, ended: bool) -> Iterator[torch.Tensor]:
        """Compute all that is possible, of ``batch_size`` frames at once; yield finished pictures (n, H, W, 3).

        ``ended``: whether the shot has no more frames than were taken.
        """
        at, known = self.buffers, self.buffers["raw"].stop
        for step in self._tracker.steps:
            compute = self._first_ways if step == 1 else self._join
            self._run(f"way {step}", known - step, batch_size, compute, step)
            self._drop()
        for level in range(1, self._levels + 1):
            below = f"level {level - 1}" if level <= self._top else f"low {level - 1}"
            limit = known if ended else at[below].stop - 2 ** (level - 1)
            if level <= self._top:
                self._run(f"level {level}", limit, batch_size, self._level, level)
            else:
                self._run(f"low {level}", limit, batch_size, self._low_level, level)
            self._run(f"share {level}", limit, batch_size, self._share, level)
            if level == self._top:
                self._run("fine", at[f"level {level}"].stop, batch_size, self._fine, level)
            self._drop()
        last = min(at["fine"].stop, at[f"low {self._levels}"].stop)
        while self.done < last:
            frames = slice(self.done, min(last, self.done + batch_size))
            yield self._finish(frames)
            self.done = frames.stop
        self._drop()

    def _run(self, name: str, limit: int, batch_size: int, compute: Callable[[slice, int], None], number: int) -> None:
        buffer = self.buffers[name]
        while buffer.stop < limit:
            compute(slice(buffer.stop, min(limit, buffer.stop + batch_size)), number)

    def _first_ways(self, frames: slice, step: int) -> None:
        at, both = self.buffers, slice(frames.start, frames.stop + step)
        ways = at["way 1"].reserve(frames.stop - frames.start)
        self._tracker.write_first(at["prepared"][both], at["guide"][both], ways)
        at["way 1"].commit(len(ways))

    def _join(self, frames: slice, step: int) -> None:
        at, half = self.buffers, step // 2
        ways = at[f"way {half}"][frames.start : frames.stop + half]
        joined = at[f"way {step}"].reserve(frames.stop - frames.start)
        self._tracker.write_joined(ways, at["guide"][frames.start : frames.stop + step], half, joined)
        at[f"way {step}"].commit(len(joined))

    def _level(self, frames: slice, level: int) -> None:
        at, step, count = self.buffers, 2 ** (level - 1), frames.stop - frames.start
        padded = at[f"level {level}"].reserve(count)
        result = average_along(at[f"level {level - 1}"], at[f"way {step}"], step, frames, padded)
        if level == self._top:
            low = at[f"low {level}"].reserve(count)
            interior(low).copy_(shrink(result, self._grid))
            repeat_border(low)
            at[f"low {level}"].commit(count)
        at[f"level {level}"].commit(count)

    def _low_level(self, frames: slice, level: int) -> None:
        at, step, count = self.buffers, 2 ** (level - 1), frames.stop - frames.start
        padded = at[f"low {level}"].reserve(count)
        average_along(at[f"low {level - 1}"], at[f"way {step}"], step, frames, padded)
        at[f"low {level}"].commit(count)

    def _share(self, frames: slice, level: int) -> None:
        at, step = self.buffers, 2 ** (level - 1)
        shares = at[f"share {level}"].reserve(frames.stop - frames.start)
        write_shares(at[f"share {level - 1}"], at[f"way {step}"], step, frames, shares)
        at[f"share {level}"].commit(len(shares))

    def _fine(self, frames: slice, top: int) -> None:
        at, count = self.buffers, frames.stop - frames.start
        ways = {step: at[f"way {step}"] for step in self._tracker.steps[:2]}
        changes = self._detail.changes(at["bands"], at["energy"], ways, frames)
        here, mean, longer = (interior(at[f"level {n}"][frames]) for n in (0, min(2, top), top))
        own, fine = interior(at["bands"][frames]), at["fine"].reserve(count)
        lacking = self._detail.correct(here, mean, longer if top > 2 else None, own, changes, fine)
        lacking[:, :3].sub_(interior(at["low 0"][frames])[:, :3])
        at["lacking"].append(lacking)
        at["fine"].commit(count)

    def _finish(self, frames: slice) -> torch.Tensor:
        """Return finished pictures, (n, H, W, 3), of the look's type."""
        at, settings = self.buffers, self._settings
        change = interior(at[f"low {self._levels}"][frames]) - interior(at["low 0"][frames])
        alone = 2.0**-self._levels
        others = at[f"share {self._levels}"][frames].sub(alone).mul_(1 / (1 - alone)).clamp_(0, 1)
        lacking = at["lacking"][frames]
        low = low_correction(change, others, lacking[:, 3:])
        return apply_corrections(at["raw"][frames], low, lacking[:, :3], at["fine"][frames], settings)

    def _drop(self) -> None:
        """Forget what no stage needs any more."""
        at, steps = self.buffers, self._tracker.steps
        fine, top, levels = at["fine"].stop, self._top, self._levels

        def level(n: int) -> int:
            return at[f"level {n}" if n <= top else f"low {n}"].stop

        need: dict[str, int] = {"raw": self.done, "fine": self.done, "lacking": self.done, "low 0": self.done}
        need |= {"prepared": at["way 1"].stop, "guide": min(at[f"way {s}"].stop for s in steps)}
        need |= {"bands": fine - REACH, "energy": fine - REACH}
        for n in range(top + 1):
            used = [level(n + 1) - 2**n] if n < top else [fine]
            need[f"level {n}"] = min([*used, fine] if n in (0, min(2, top)) else used)
        for n in range(top, levels):
            need[f"low {n}"] = min(level(n + 1) - 2**n, self.done if n == 0 else level(n + 1))
        need[f"low {levels}"] = self.done
        for n in range(levels + 1):
            need[f"share {n}"] = at[f"share {n + 1}"].stop - 2**n if n < levels else self.done
        for n, step in enumerate(steps):
            used = [level(n + 1) - step, at[f"share {n + 1}"].stop - step]
            used += [fine - step] if step <= REACH else []
            used += [at[f"way {2 * step}"].stop] if n + 1 < len(steps) else []
            need[f"way {step}"] = min(used)
        for name, frame in need.items():
            at[name].drop(frame)


def low_correction(change: torch.Tensor, others: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Return the correction on the grid, (n, 3, h, w), as ``window.low_correction`` has it."""
    wanted = torch.addcmul(change[:, :3], slope, change[:, 3:], value=-1)
    height, width = others.shape[-2:]
    size = (max(1, height // AROUND), max(1, width // AROUND))
    near = blur(shrink(torch.cat((wanted * others, others), 1), size), 1)
    around = grow(near[:, :3] / (near[:, 3:] + 0.002), (height, width))
    lacking = others.mul(1 / SURE).clamp_(0, 1).neg_().add_(1)
    return torch.lerp(wanted, around, lacking)


def write_picture(
    tracker: BatchTracker, guides: torch.Tensor, outputs: torch.Tensor, picture: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write frames to ``picture`` (n, 4, H, W), in [0, 1]: the look's RGB and the guide's luma.

    Returns what ``BatchTracker.prepare`` does.
    """
    full, deepest = (255 if part.dtype == torch.uint8 else 65535 for part in (guides, outputs))
    grey = grey_levels(planes(guides))
    torch.mul(planes(outputs), 1 / deepest, out=picture[:, :3])
    torch.mul(grey, 1 / full, out=picture[:, 3])
    return tracker.prepare(planes(guides).float(), grey, full)


def apply_corrections(
    outputs: torch.Tensor, low: torch.Tensor, lacking: torch.Tensor, fine: torch.Tensor, settings: DeflickerSettings
) -> torch.Tensor:
    """Return frames (n, H, W, 3) with their corrections: ``low`` on the grid, ``fine`` (n, 3, H, W) at full size.

    ``lacking`` (n, 3, h, w): the mean of ``fine`` before its low frequencies, which are taken out of it here.
    """
    full = 255 if outputs.dtype == torch.uint8 else 65535
    scale = full * settings.strength
    low = low.sub(lacking, alpha=settings.texture_strength)
    # Half a level more, and what is behind the point cut off: rounded.
    result = grow(blur(low, LOW).mul_(scale).add_(0.5), (outputs.shape[1], outputs.shape[2]))
    result.add_(fine, alpha=scale * settings.texture_strength)
    whole = result.add_(planes(outputs)).clamp_(0, full).permute(0, 2, 3, 1)
    return whole.to(torch.uint8) if full == 255 else whole.to(torch.int32).to(torch.int16)
