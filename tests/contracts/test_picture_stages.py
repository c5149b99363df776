"""Each stage that changes the finished picture of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from clips import scene

from vidtrans.commands.schema import schema_of
from vidtrans.core.options import Use, parameters, settings_over_time, settings_with_use
from vidtrans.pipeline.render import NEUTRAL, STAGES, RenderingSettings
from vidtrans.pipeline.stage import PictureStage

SOURCE, LOOK = scene(40, 24, seed=1), scene(40, 24, seed=2)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=str)
def test_it_leaves_a_picture_as_it_is_by_itself_and_keeps_its_kind_at_all_bounds(name: str, dtype: type) -> None:
    stage: type[PictureStage] = STAGES.load(name)
    source, look = (picture.astype(dtype) * (np.iinfo(dtype).max // 255) for picture in (SOURCE, LOOK))
    before = source.copy(), look.copy()
    assert stage.run(look, source, None, NEUTRAL) is look
    assert stage.is_idle(RenderingSettings())
    for option, bounds in settings_over_time(stage.Settings).items():
        for value in bounds.ends:
            made = stage.run(look, source, None, {**NEUTRAL, option: value})
            assert (made.shape, made.dtype) == (look.shape, look.dtype)
            changed = value != NEUTRAL[option]
            assert changed != stage.is_idle(RenderingSettings(**{option: value}))
            assert changed != np.array_equal(made, look)
    assert np.array_equal(source, before[0])
    assert np.array_equal(look, before[1])


@pytest.mark.parametrize("name", STAGES)
def test_a_gpu_does_the_same_where_it_does_anything(name: str) -> None:
    import torch

    stage: type[PictureStage] = STAGES.load(name)
    there = [torch.from_numpy(picture.copy()) for picture in (LOOK, SOURCE)]
    for option, bounds in settings_over_time(stage.Settings).items():
        for value in bounds.ends:
            if stage.has_device_form(RenderingSettings(**{option: value})):
                values = {**NEUTRAL, option: value}
                made = stage.run_on_device(*there, None, values)
                assert np.array_equal(made.numpy(), stage.run(LOOK, SOURCE, None, values))


@pytest.mark.parametrize("name", STAGES)
def test_its_options_are_offered_where_it_says(name: str) -> None:
    from vidtrans.live.live_controls import describe_controls
    from vidtrans.stylizing.timeline_render import MARKER_SETTINGS

    settings, offered = STAGES.load(name).Settings, schema_of("stylize")["properties"]
    for option, parameter in parameters(settings, "recipe", "rendering").items():
        assert offered[parameter.name].get("x-vary", False) == (option in settings_with_use(settings, Use.VARY))
        assert (option in MARKER_SETTINGS) == (option in settings_with_use(settings, Use.VARY))
        assert (option in describe_controls()) == (option in settings_with_use(settings, Use.LIVE))
        for use, command in ((Use.RUN, "run"), (Use.RUN, "propagate"), (Use.DEFLICKER, "deflicker")):
            assert (parameter.name in schema_of(command)["properties"]) == (option in settings_with_use(settings, use))
