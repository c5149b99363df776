"""Contracts that every entry of every registry keeps. A new entry is tested by being in its table."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from clips import scene

from vidtrans.batch.executors import EXECUTORS
from vidtrans.batch.farm import JOB_FORMATS
from vidtrans.core.errors import UsageError
from vidtrans.core.files import canonical_json
from vidtrans.core.options import option_of
from vidtrans.core.registry import Registry
from vidtrans.core.settings import from_table, setting_fields, to_table
from vidtrans.data.settings import DatasetSettings
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.flow import FLOWS
from vidtrans.inference import ENGINES
from vidtrans.interop.exporting import EXPORTS
from vidtrans.live.receivers import RECEIVERS
from vidtrans.live.senders import SENDERS
from vidtrans.models.formats import FORMATS
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import input_frames
from vidtrans.pairing.next_frame import ClipConditions, append_condition_planes, picture_channels
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.store.stages import STAGES, Stage
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import RecursiveFilter, Sample, filter_samples
from vidtrans.training import ADVERSARIAL, LOSSES, METHODS
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.io.encoding import EncodingSettings

NETWORKS = (GENERATORS, DISCRIMINATORS)
TRAINING = (METHODS, LOSSES, ADVERSARIAL)
OF_FILES = (EXECUTORS, JOB_FORMATS, FORMATS, EXPORTS, SENDERS, RECEIVERS)
ALL = (PAIRINGS, *NETWORKS, FILTERS, FLOWS, ENGINES, STAGES, *TRAINING, *OF_FILES)
WITH_SETTINGS = (PAIRINGS, *NETWORKS, FILTERS)
ENTRIES = [pytest.param(r, n, id=f"{r.kind}-{n}".replace(" ", "-")) for r in ALL for n in r]
SETTINGS = [
    *(pytest.param(lambda r=r, n=n: r.load(n).Settings, id=f"{r.kind}-{n}") for r in WITH_SETTINGS for n in r),
    *(
        pytest.param(lambda c=c: c, id=c.__name__)
        for c in (DatasetSettings, TrainingSettings, RenderingSettings, DreamingSettings, EncodingSettings)
    ),
]


@pytest.mark.parametrize(("registry", "name"), ENTRIES)
def test_every_entry_loads_and_says_what_it_is_in_one_line(registry: Registry, name: str) -> None:
    assert registry.load(name).__doc__
    summary = registry[name].summary
    assert summary.strip() == summary != ""
    assert "\n" not in summary
    assert len(summary) <= 80  # lists have one line for each
    assert name == name.lower()


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.kind)
def test_an_unknown_name_is_a_usage_error_with_the_choices_and_the_nearest(registry: Registry) -> None:
    first = next(iter(registry))
    with pytest.raises(UsageError, match=f"unknown {registry.kind} '{first}x'.*did you mean '"):
        registry.load(first + "x")
    with pytest.raises(UsageError) as caught:
        registry.load("no-such")
    assert all(name in str(caught.value) or "did you mean '" in str(caught.value) for name in registry)


@pytest.mark.parametrize("find", SETTINGS)
def test_settings_are_frozen_described_and_within_their_own_bounds(find: Any) -> None:
    cls = find()
    assert is_dataclass(cls)
    assert cls.__doc__
    made = cls()
    for key, (field, _) in setting_fields(cls).items():
        assert option_of(field).help.strip(), key
    for field in fields(cls):
        with pytest.raises(FrozenInstanceError):
            setattr(made, field.name, field.default)
    # As it is read back from a model file, a dataset or a preset.
    assert from_table(cls, json.loads(canonical_json(to_table(made))), "x") == made
    with pytest.raises(UsageError, match="no_such_key"):
        from_table(cls, {"no_such_key": 1}, "x")


SIZES = [(33, 17)]


def varied_settings(cls: type) -> list[Any]:
    """The default, and one for each switch turned, choice taken, and whole number raised by one."""
    made = [cls()]
    for field in fields(cls):
        given, value = option_of(field), field.default
        if isinstance(value, bool):
            made.append(cls(**{field.name: not value}))
        elif given.choices is not None:
            made += [cls(**{field.name: c}) for c in given.choices if c != value]
        elif isinstance(value, int) and value < given.ends[1]:
            made.append(cls(**{field.name: value + 1}))
    return made


PAIRING_CASES = [
    pytest.param((n, k), id=f"{n}-{k}")
    for n in PAIRINGS
    for k in range(len(varied_settings(PAIRINGS.load(n).Settings)))
]


@pytest.fixture
def pairing(request: pytest.FixtureRequest) -> Any:
    name, number = request.param
    cls = PAIRINGS.load(name)
    return cls(varied_settings(cls.Settings)[number])


every_pairing = pytest.mark.parametrize("pairing", PAIRING_CASES, indirect=True)


def seen(pairing: Any) -> int:
    """How many channels a pairing makes of its pictures; a clock comes on top."""
    return picture_channels(pairing.in_channels, pairing.has_conditions)


def pictures_of(pairing: Any, size: tuple[int, int]) -> list[np.ndarray]:
    """What makes one input: its frames, or the guides that stand for them, with what is extracted of each."""
    count = len(input_frames(pairing, 30, 0)) * pairing.pictures_per_frame
    return [scene(*size, seed=i) for i in range(count)]


def unharmed(call: Any, *arrays: np.ndarray) -> np.ndarray:
    """What ``call`` makes of the arrays: uint8, and the arrays are as they were."""
    before = [a.copy() for a in arrays]
    made = call(*arrays)
    assert made.dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    return made


@every_pairing
def test_a_pairings_inputs_have_its_channels_and_follow_from_frames_draws_and_mask(pairing: Any) -> None:
    again = type(pairing)(pairing.settings)
    draw = lambda: np.random.Generator(np.random.Philox(key=7))  # noqa: E731
    for size in SIZES:
        shape, frames = (size[1], size[0], seen(pairing)), pictures_of(pairing, size)
        mask = np.zeros(size[::-1], np.uint8)
        mask[: size[1] // 2] = 255
        stored = unharmed(pairing.stored, frames[0])
        assert (stored.shape, stored.dtype) == (frames[0].shape, np.uint8)
        made = unharmed(lambda *f: pairing.input(list(f)), *frames)
        assert np.array_equal(made, again.input(frames))
        taught = unharmed(lambda *f: pairing.training_input(list(f), draw()), *frames)
        assert np.array_equal(taught, again.training_input(frames, draw()))
        assert (
            append_condition_planes(taught, ClipConditions(0.3) if pairing.has_conditions else None).shape[2]
            == pairing.in_channels
        )
        plain = unharmed(lambda *f: pairing.render_input(list(f), 30, None), *frames)
        masked = unharmed(lambda m, *f: pairing.render_input(list(f), 30, m), mask, *frames)
        assert np.array_equal(masked, again.render_input(frames, 30, mask))
        assert pairing.uses_mask != np.array_equal(plain, masked)
        assert made.shape == taught.shape == plain.shape == masked.shape == shape


@every_pairing
def test_a_pairing_finishes_pictures_takes_drawings_and_is_made_again_from_its_record(pairing: Any) -> None:
    record = json.loads(canonical_json(pairing_record(pairing)))
    again = make_pairing(record["name"], record["settings"])
    assert type(again) is type(pairing) is PAIRINGS.load(pairing.name)
    assert again.settings == pairing.settings
    assert record["version"] >= 1
    assert pairing.drawing_kind in ("", "lines", "flats")
    assert pairing.upscale_factor >= 1
    if pairing.extraction is not None:
        assert (pairing.offsets, pairing.guides, pairing.pictures_per_frame) == ((0,), (), 2)
    for size in SIZES:
        frame, output = (scene(*size, seed=s) for s in (1, 2))
        shown = pairing.render_input(pictures_of(pairing, size), 30, None)
        made = unharmed(pairing.finish, frame, output, shown)
        assert made.shape == frame.shape
        assert pairing.finishes or made is output
        agreed = pairing.agreement(shown, output)
        assert agreed is None or 0 <= agreed <= 1
        page = np.full((size[1], size[0], 3), 255, np.uint8)
        for picture in (scene(*size, seed=1), page, page * 0, page // 2) if pairing.drawing_kind else ():
            drawn = unharmed(pairing.drawing_input, picture)
            assert drawn.shape == (size[1], size[0], pairing.in_channels)
            assert np.array_equal(drawn, pairing.drawing_input(picture.copy()))


@every_pairing
def test_a_pairings_steps_stay_inside_the_shot(pairing: Any) -> None:
    for num_frames in (0, 1, 2, 5, 12):
        steps = list(pairing.pair_positions(num_frames))
        assert all(0 <= i < num_frames for s in steps for i in (*s.inputs, s.target))
        assert bool(steps) == (num_frames >= pairing.min_frames)
        assert len({(s.target, s.phase) for s in steps}) == len(steps)
        assert all((s.phase is not None) == pairing.has_clock for s in steps)
        assert all(0 <= s.phase < 1 for s in steps if s.phase is not None)
        assert len({len(s.inputs) for s in steps}) <= 1
    for first in (0, 7):
        for position in range(first, first + 10):
            history = input_frames(pairing, position, first)
            assert history[-1] == position
            assert list(history) == sorted(history)
            assert history[0] >= first
    # Deep in a shot, what is seen when rendering is what was seen in training; on a clock's timeline, on the way there.
    step = next(s for s in pairing.pair_positions(50) if list(s.inputs) == sorted(s.inputs))
    offset = 40 - step.inputs[-1]
    assert input_frames(pairing, 40, 0) == tuple(i + offset for i in step.inputs)


def shot_of_samples(count: int, cut: int) -> list[Sample]:
    """A texture that drifts by a pixel a frame, with an output that flickers; a second shot begins at ``cut``."""
    rng, made = np.random.default_rng(3), []
    for i in range(count):
        guide = np.roll(scene(64, 48, seed=int(i >= cut)), i, axis=1)
        output = np.clip(guide.astype(np.int16) + rng.integers(-25, 26), 0, 255).astype(np.uint8)
        made.append(Sample(i, i * 512, guide, output, starts_shot=i in (0, cut)))
    return made


def with_noise(samples: list[Sample], keep: range) -> list[Sample]:
    rng = np.random.default_rng(9)
    junk = lambda p: rng.integers(0, 256, p.shape, dtype=np.uint8)  # noqa: E731
    return [s if s.index in keep else replace(s, guide=junk(s.guide), output=junk(s.output)) for s in samples]


FILTER_CASES = [
    pytest.param(n, {"radius": 3} if "radius" in {f.name for f in fields(FILTERS.load(n).Settings)} else {}, id=n)
    for n in FILTERS
]


@pytest.mark.parametrize(("name", "table"), FILTER_CASES)
def test_a_filtered_frame_depends_on_nothing_beyond_its_radius_or_a_cut(name: str, table: dict[str, Any]) -> None:
    cls, count, cut = FILTERS.load(name), 16, 9
    method = cls(cls.Settings(**table))
    whole = {s.index: p for s, p in filter_samples(shot_of_samples(count, cut), method)}
    assert list(whole) == list(range(count))
    for frame in (4, cut):
        shot = range(cut) if frame < cut else range(cut, count)
        first = shot.start if isinstance(method, RecursiveFilter) else max(shot.start, frame - method.radius)
        seen = range(first, min(shot.stop, frame + method.radius + 1))
        made = {s.index: p for s, p in filter_samples(with_noise(shot_of_samples(count, cut), seen), method)}
        assert made[frame].shape == (48, 64, 3)
        assert made[frame].dtype == np.uint8
        assert np.array_equal(made[frame], whole[frame]), frame


@pytest.mark.parametrize(("name", "table"), FILTER_CASES)
def test_a_filter_goes_on_exactly_from_any_frame(name: str, table: dict[str, Any]) -> None:
    """A recursive one with the state that it had there, any other with the frames around."""
    cls, count, cut = FILTERS.load(name), 16, 9
    whole = [p for _, p in filter_samples(shot_of_samples(count, cut), cls(cls.Settings(**table)))]
    for frame in (cut, 13):
        method, before = (cls(cls.Settings(**table)) for _ in range(2))
        lo = max(0 if frame < cut else cut, frame - method.radius)
        assert lo == frame or not isinstance(method, RecursiveFilter)
        if isinstance(method, RecursiveFilter):
            list(filter_samples(shot_of_samples(count, cut)[:frame], before))
            method.resume(before.state())
        rest = [p for _, p in filter_samples(shot_of_samples(count, cut)[lo:], method, range(frame, count))]
        assert all(np.array_equal(a, b) for a, b in zip(rest, whole[frame:], strict=True)), frame


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_named_as_in_its_table_and_has_a_version(name: str) -> None:
    cls = STAGES.load(name)
    assert issubclass(cls, Stage)
    assert (cls.name, cls.version >= 1) == (name, True)
    blank = cls(**{f.name: f.name for f in fields(cls)})
    others = [replace(blank, **{f.name: "other"}) for f in fields(cls)]
    keys = {blank.key, *(o.key for o in others)}
    assert len(keys) == 1 + len(others)  # every parameter is in the key
    assert all(len(k) == 64 for k in keys)
