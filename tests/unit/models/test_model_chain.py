"""A chain of models paints what its models paint one after the other; engines that were used last stay in memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from clips import scene
from made_models import make_grade, make_model

from vidtrans.core.errors import UsageError
from vidtrans.inference import compiled
from vidtrans.models.loaded_model import MAX_ENGINES, LoadedModel, load_engine, load_model
from vidtrans.models.model_chain import ModelChain, load_chain_engine, load_model_chain
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.images.picture import resize

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (48, 40)
EXACT = RenderingSettings(size="source")


def chain_of(*names: str, context: Context | None = None) -> ModelChain:
    chain = load_model_chain(names, context or Context(), {})
    assert isinstance(chain, ModelChain)
    return chain


@pytest.fixture
def models() -> dict[str, str]:
    return {
        "edges": str(make_model("edges.safetensors", "edges", {"gradient_channel": True}, seed=1)),
        "frame": str(make_model("frame.safetensors", "aligned", seed=2)),
        "colorize": str(make_model("colorize.safetensors", "colorize", seed=3)),
        "look": str(make_model("look.safetensors", "look", {"looks": ["ink", "oil"]}, seed=4)),
        "denoise": str(make_model("denoise.safetensors", "denoise", seed=5)),
        "grade": str(make_grade("grade.cube")),
    }


def pictures(count: int = 2, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(count, H, W, 3) uint16 with values between those of 8 bits."""
    rng = np.random.default_rng(0)
    eight = np.stack([scene(*size, seed=seed) for seed in range(count)])
    return (to_uint16(eight) // 2 + rng.integers(0, 20000, eight.shape)).astype(np.uint16)


def rendered_alone(model: LoadedModel, frames: list[np.ndarray], *, deep: bool) -> list[np.ndarray]:
    pairing, engine, made = model.pairing, load_engine(model, EXACT, Context()), []
    for frame in frames:
        shown = pairing.input([frame if pairing.deep else to_uint8(frame)])
        made.append(pairing.finish(frame, engine(shown[None], deep=deep)[0], shown))
    return made


CHAINS = [  # models, and whether pictures have 16 bits
    (("frame", "edges", "grade"), True),
    (("colorize", "grade"), True),
    (("denoise", "look"), True),
    (("edges", "look", "look"), False),
]


@pytest.mark.parametrize(("names", "deep"), CHAINS, ids=str)
def test_a_chain_is_its_models_in_turn_bit_for_bit(names: tuple[str, ...], deep: bool, models: dict[str, str]) -> None:
    chain = chain_of(*(models[name] for name in names))
    shown = pictures() if deep else to_uint8(pictures())
    expected = list(shown)
    for step in chain.steps:
        expected = rendered_alone(step, expected, deep=deep)
    assert np.std(expected[0]) > 3
    first = [chain.pairing.input([one if chain.pairing.deep else to_uint8(one)]) for one in shown]
    engine = load_chain_engine(chain, EXACT, SIZE, Context())
    made = engine(np.stack(first), deep=deep)
    assert made.dtype == (np.uint16 if deep else np.uint8)
    assert np.array_equal(made, np.stack(expected))
    apart = np.concatenate([engine(one[None], deep=deep) for one in first])
    assert np.array_equal(apart, made)  # whatever is beside it in a batch


def test_a_later_painter_of_looks_is_told_the_values_beside_the_input(models: dict[str, str]) -> None:
    chain = chain_of(models["frame"], models["look"])
    engine, pairing = load_chain_engine(chain, EXACT, SIZE, Context()), chain.steps[1].pairing
    shown = to_uint8(pictures(2))
    values = np.array([[0, 255, 40], [255, 0, 200]], np.uint8)
    planes = np.broadcast_to(values[:, None, None], (*shown.shape[:3], 3))
    made = engine(np.concatenate([shown, planes], axis=3))
    between = rendered_alone(chain.steps[0], list(shown), deep=False)
    alone = load_engine(chain.steps[1], EXACT, Context())
    expected = [alone(pairing.with_planes(*one)[None])[0] for one in zip(between, values, strict=True)]  # type: ignore[attr-defined]
    assert np.array_equal(made, np.stack(expected))
    assert not np.array_equal(made, engine(shown))


SOURCE = (192, 96)
SIZES = [  # models with the short side that they were trained at, (input, networks, result) of a source of 192×96
    ("edges:32 frame:48", (64, 32), [(64, 32), (96, 48)], (96, 48)),
    ("edges:48 frame:32", (96, 48), [(96, 48), (64, 32)], (96, 48)),
    ("edges:48 colorize:32 denoise:64", (96, 48), [(96, 48), (64, 32), (96, 48)], (96, 48)),
    ("grade enlarge:32 grade", SOURCE, [SOURCE, (384, 192), (384, 192)], (384, 192)),
    ("edges:200 frame:32", SOURCE, [SOURCE, (64, 32)], SOURCE),
]


@pytest.mark.parametrize(("names", "shown", "networks", "result"), SIZES, ids=[case[0] for case in SIZES])
def test_each_network_runs_at_its_own_size(names: str, shown: Any, networks: Any, result: Any) -> None:
    paths = []
    for number, text in enumerate(names.split()):
        name, _, size = text.replace("frame", "aligned").partition(":")
        if size:
            paths.append(str(make_model(f"{number}.safetensors", name, size=int(size))))
        else:
            paths.append(str(make_grade(f"{number}.cube")))
    chain = chain_of(*paths)
    chain.check_renders()
    assert chain.input_size("trained", SOURCE) == shown
    assert chain.network_sizes("trained", SOURCE) == networks
    assert chain.working_size("trained", SOURCE) == result
    factor = chain.pairing.upscale_factor
    assert result[0] <= SOURCE[0] * factor
    wanted = chain.network_sizes("40", SOURCE)
    assert set(wanted) <= {(80, 40), (160, 80)}
    assert chain.working_size("40", SOURCE) == (80 * factor, 40 * factor)


def test_pictures_are_resized_between_models_of_different_sizes() -> None:
    chain = chain_of(
        str(make_model("a.safetensors", "aligned", size=32)),
        str(make_model("b.safetensors", "aligned", size=48, seed=1)),
        str(make_model("c.safetensors", "colorize", size=32, seed=2)),
    )
    settings = RenderingSettings()
    a, b, c = (load_engine(step, settings, Context()) for step in chain.steps)
    frame = scene(64, 32, seed=3)
    made = load_chain_engine(chain, settings, SOURCE, Context())(frame[None])
    painted = b(resize(a(frame[None])[0], 96, 48)[None])[0]
    grey = chain.steps[2].pairing.input([resize(painted, 64, 32)])
    colours, finish = c(grey[None])[0], chain.steps[2].pairing.finish
    assert np.array_equal(made[0], finish(painted, resize(colours, 96, 48), resize(grey, 96, 48)))


def test_what_decides_the_pictures_of_a_chain_is_in_its_identity_and_digest(models: dict[str, str]) -> None:
    context = Context()
    one, other = chain_of(models["frame"], models["grade"]), chain_of(models["grade"], models["frame"])
    assert one.digest != other.digest
    assert (one.name, other.name) == ("frame+grade", "grade+frame")
    denser = load_model_chain([models["edges"], models["frame"]], context, {"density": 0.3})
    assert denser.digest != chain_of(models["edges"], models["frame"]).digest
    engines = [load_chain_engine(one, RenderingSettings(size=size), SOURCE, context) for size in ("32", "40", "32")]
    first, larger, again = (engine.identity for engine in engines)
    assert first == again != larger
    assert all(isinstance(value, str) for value in first.values())
    assert {"engine", "precision", "device"} < set(first)


CLOCK = {"positions": 9, "rate": "20"}
REFUSED = [  # a model's file, and the place in which it is refused
    ({"pairing": "aligned", "memory": {"flow": "dis"}}, "both", "its previous output"),
    ({"pairing": "inpaint"}, "both", "where the mask is"),
    ({"pairing": "next-frame", "settings": {"context_frames": 2, "step": 1}}, "second", "input includes earlier"),
    ({"pairing": "stack", "settings": {"guides": ["depth:1"]}}, "second", "its input is a folder of guides"),
    ({"pairing": "aligned", "plate": {"size": [32, 32], "still": 1.0}}, "second", "the background of one scene"),
    ({"pairing": "next-frame", "settings": {"position": "clock"}, "dream": CLOCK}, "both", "its own clip"),
]


@pytest.mark.parametrize(("kind", "place", "why"), REFUSED, ids=[case[2] for case in REFUSED])
def test_models_that_are_rendered_alone_are_refused_in_a_line(kind: dict[str, Any], place: str, why: str) -> None:
    odd = str(make_model("odd.safetensors", **kind))
    plain = str(make_model("plain.safetensors", "aligned"))
    with pytest.raises(UsageError) as raised:
        chain_of(plain, odd).check_renders()
    assert why in str(raised.value)
    assert "'odd'" in str(raised.value)
    assert "\n" not in str(raised.value)
    first = chain_of(odd, plain)
    if place == "both":
        with pytest.raises(UsageError, match=why):
            first.check_renders()
    else:
        first.check_renders()


def test_a_grade_runs_in_torch_and_refuses_onnx_runtime(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "can_pack", lambda device, precision: False)  # as on a Mac: no oneDNN
    (grade,) = chain_of(models["frame"], models["grade"]).steps[1:]
    assert load_engine(grade, EXACT, Context()).identity["engine"].startswith("torch")
    with pytest.raises(UsageError, match="'grade' is a grade"):
        load_engine(grade, RenderingSettings(engine="onnx"), Context())


def test_those_that_were_used_last_stay() -> None:
    context, settings = Context(device="cpu"), RenderingSettings(engine="torch")
    files = [make_model(f"m{n}.safetensors", "edges", seed=n) for n in range(MAX_ENGINES + 2)]
    models = [load_model(str(file), context) for file in files]
    first, made = load_engine(models[0], settings, context), []
    for model in models[1:]:
        made.append(weakref.ref(load_engine(model, settings, context)))
        assert load_engine(models[0], settings, context) is first
    gc.collect()
    assert sum(engine() is not None for engine in made) == MAX_ENGINES - 1
    assert [key[0] for key in context.engines] == [model.digest for model in (*models[1 - MAX_ENGINES :], models[0])]
