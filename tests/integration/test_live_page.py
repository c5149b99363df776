"""The page in a real browser: draw, stand before the camera, record, switch, lose the connection and find it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chromium import chromium
from clips import times
from dreams import rememberer
from live_page import SHOWS, page_at, settled, wait_until
from live_server import Running, load, serving
from made_models import make_model

from vidtrans.pairing.regions import palette

pytestmark = pytest.mark.usefixtures("one_thread")
PEN = """(pressure) => { const c = document.getElementById('drawing'), b = c.getBoundingClientRect();
  c.setPointerCapture = () => {};
  const at = (type, x) => c.dispatchEvent(new PointerEvent(type, { pointerType: 'pen', pressure, buttons: 1,
    isPrimary: true, pointerId: 5, bubbles: true, clientX: b.left + x * b.width, clientY: b.top + .5 * b.height }));
  at('pointerdown', .2); at('pointermove', .8); at('pointerup', .8); }"""
NO_CAMERA = "navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{}'); }};"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as server:
        yield server


def draw(page: Any, *places: tuple[float, float]) -> None:
    """Draw a stroke through places, in shares of the canvas."""
    box = page.locator("#drawing").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def is_dark(y: float, x: float) -> Callable[[np.ndarray], bool]:
    return lambda p: bool(p[int(y * p.shape[0]), int(x * p.shape[1])].max() < 90)


def is_white(picture: np.ndarray) -> bool:
    return bool(picture.min() > 240)


class TestDrawing:
    def test_strokes_are_painted_undone_and_cleared(self, browser: Any, running: Running) -> None:
        with page_at(browser, running.link()) as page:
            offered = page.locator("#empty button")
            assert offered.all_inner_texts() == ["Draw", "Camera", "Screen", "Video"]
            offered.first.click()
            wait_until(page, is_white)
            draw(page, (0.2, 0.5), (0.8, 0.5))
            wait_until(page, is_dark(0.5, 0.5))
            draw(page, (0.5, 0.1), (0.5, 0.4))
            wait_until(page, is_dark(0.25, 0.5))
            page.click("#undo")
            picture = wait_until(page, lambda p: not is_dark(0.25, 0.5)(p))
            assert is_dark(0.5, 0.5)(picture)
            page.click("#clear")
            wait_until(page, is_white)

    @pytest.mark.thorough
    def test_all_tools_draw(self, browser: Any, running: Running) -> None:
        with page_at(browser, running.link()) as page:
            page.click("[data-source=drawing]")
            widths = []
            for pressure in (0.1, 0.9):
                page.click("#clear")
                wait_until(page, is_white)
                page.evaluate(PEN, pressure)
                picture = wait_until(page, is_dark(0.5, 0.5))
                widths.append(int((picture[:, picture.shape[1] // 2].max(axis=1) < 128).sum()))
            assert widths[1] >= 2 * widths[0]  # a pen's width goes by its pressure
            page.click("#clear")
            wait_until(page, is_white)
            page.click("[data-tool=line]")
            draw(page, (0.2, 0.2), (0.5, 0.9), (0.8, 0.2))  # the end counts, not the way there
            picture = wait_until(page, is_dark(0.2, 0.5))
            assert picture[int(0.6 * picture.shape[0])].min() > 200
            page.click("[data-tool=eraser]")
            draw(page, (0.1, 0.2), (0.9, 0.2))
            wait_until(page, is_white)
            page.click("[data-tool=fill]")
            page.locator("#colour").fill("#102030")
            draw(page, (0.5, 0.5))
            wait_until(page, lambda p: bool(np.abs(p.reshape(-1, 3).mean(axis=0) - (0x10, 0x20, 0x30)).max() < 4))

    def test_with_a_palette_one_fills_in_its_colours(self, browser: Any) -> None:
        with (
            serving(load(str(make_model("small.safetensors", "regions")))) as running,
            page_at(browser, running.link()) as page,
        ):
            page.click("[data-source=drawing]")
            page.click("#input-view summary")
            swatches = page.locator("#palette button")
            assert swatches.count() == len(palette(5).colours)
            swatches.nth(3).click()
            page.click("[data-tool=fill]")
            draw(page, (0.5, 0.5))
            wanted = tuple(int(level) for level in palette(5).colours[3])
            page.wait_for_function(
                """(want) => { const c = document.getElementById('input');
                  const d = c.getContext('2d').getImageData(9, 9, 1, 1).data;
                  return [0, 1, 2].every((k) => Math.abs(d[k] - want[k]) < 6); }""",
                arg=wanted,
            )


class TestCamera:
    def test_it_moves_and_is_recorded(self, browser: Any, running: Running) -> None:
        with page_at(browser, running.link()) as page:
            page.click("[data-source=camera]")
            first = wait_until(page, lambda p: p.std() > 10)
            wait_until(page, lambda p: p.shape == first.shape and np.abs(p.astype(int) - first).mean() > 0.2)
            page.click("#record")
            page.wait_for_selector("#record[aria-pressed=true]")
            running.until(lambda: running.hub.recordings._recorder.num_frames > 3)  # type: ignore[union-attr]
            page.click("#record")
            page.wait_for_function("() => document.getElementById('news').textContent.startsWith('Recorded')")
            page.click("[data-source=camera]")
            running.until(lambda: running.hub.source == "none")
        (path,) = Path("recordings").iterdir()
        assert len(times(path)) > 3

    @pytest.mark.thorough
    def test_its_speed_is_shown_and_it_is_found_again_when_it_is_lost(self, browser: Any, running: Running) -> None:
        with page_at(browser, running.link()) as page:
            page.click("#input-view summary")
            page.click("[data-source=camera]")
            picture = wait_until(page, lambda p: p.std() > 10)
            page.wait_for_function("() => Number(document.getElementById('median').textContent) > 0")
            page.wait_for_function("() => Number(document.getElementById('fps').textContent) > 0")
            assert page.evaluate("document.getElementById('input').width") == picture.shape[1]
            page.evaluate(
                "() => { const t = vidtrans.sources.capture.stream.getVideoTracks()[0]; t.stop(); "
                "t.dispatchEvent(new Event('ended')); }"
            )
            page.wait_for_selector("#problem:not([hidden])")
            assert "gone" in page.inner_text("#problem")
            page.wait_for_selector("#problem", state="hidden")
            assert page.evaluate("vidtrans.sources.capture.isRunning")

    @pytest.mark.thorough
    @pytest.mark.parametrize(
        ("script", "words"),
        [
            (NO_CAMERA.format("NotAllowedError"), "Allow it"),
            (NO_CAMERA.format("NotFoundError"), "no camera"),
            ("Object.defineProperty(navigator, 'mediaDevices', { value: undefined });", "https"),
        ],
        ids=["refused", "absent", "no-right"],
    )
    def test_one_that_cannot_be_had_is_explained(self, browser: Any, running: Running, script: str, words: str) -> None:
        with page_at(browser, running.link(), camera=False, script=script) as page:
            page.click("[data-source=camera]")
            page.wait_for_selector("#problem:not([hidden])")
            assert words in page.inner_text("#problem")
            assert page.get_attribute("[data-source=camera]", "aria-pressed") == "false"
            running.until(lambda: running.hub.source == "none")


class TestResult:
    @pytest.mark.thorough
    def test_a_snapshot_is_what_is_shown_and_the_bare_output_shows_nothing_else(
        self, browser: Any, running: Running
    ) -> None:
        with page_at(browser, running.link()) as page, page_at(browser, running.link("/output")) as bare:
            page.click("[data-source=drawing]")
            draw(page, (0.2, 0.5), (0.8, 0.5))
            wait_until(bare, is_dark(0.5, 0.5))
            assert bare.inner_text("body").strip() == ""
            assert bare.evaluate("document.documentElement.scrollHeight <= innerHeight")
            picture = settled(page, running)
            with page.expect_download() as saved:
                page.click("#snapshot")
            saved.value.save_as("shot.png")
        assert saved.value.suggested_filename.endswith(".png")
        assert np.abs(cv2.imread("shot.png")[..., ::-1].astype(int) - picture).max() == 0

    @pytest.mark.thorough
    def test_a_kiosk_begins_with_the_camera_and_shows_the_output_alone(self, browser: Any) -> None:
        with serving() as running, page_at(browser, running.link() + "&kiosk") as page:
            wait_until(page, lambda p: p.std() > 10)
            with page_at(browser, running.link()) as other:
                other.click("[data-source=drawing]")
                wait_until(page, is_white)
                other.click("[data-source=drawing]")
                wait_until(page, lambda p: p.std() > 10)  # it takes the camera again
            assert page.locator("#controls").is_hidden()
            assert page.locator("#source").is_hidden()
            box = page.locator("#output").bounding_box()
            assert (box["width"], box["height"]) == (1280, 900)


class TestModels:
    def test_a_dream_is_steered_by_keys_pointer_and_gamepad_and_its_performance_is_kept(self, browser: Any) -> None:
        pads = """window.pad = { index: 0, id: 'Pad', axes: [0, 0, 0, 0] };
          navigator.getGamepads = () => (window.pad ? [window.pad] : []);"""
        with (
            serving(load(rememberer(Path("dreamer.safetensors")))) as running,
            page_at(browser, running.link(), script=pads) as page,
        ):
            at = lambda name: getattr(running.hub.state.controls, name)  # noqa: E731
            page.keyboard.down("ArrowLeft")  # nothing dreams yet
            page.keyboard.up("ArrowLeft")
            page.evaluate("vidtrans.controls.moved('pan_y', 0.01)")
            running.until(lambda: at("pan_y") == 0.01)
            page.click("[data-source=dream]")
            wait_until(page, lambda p: p.std() > 0)
            assert (at("pan_x"), at("pan_y")) == (0, 0.01)  # what a slider says stays
            page.keyboard.down("ArrowUp")
            running.until(lambda: at("pan_y") == 0.022)
            page.click("[data-source=dream]")  # it ends while the key is held
            page.keyboard.up("ArrowUp")
            running.until(lambda: at("pan_y") == 0.01)
            page.evaluate("vidtrans.controls.moved('pan_y', 0)")
            running.until(lambda: at("pan_y") == 0)
            page.click("[data-source=dream]")
            running.until(lambda: running.hub.source == "dream")
            page.click("#record")
            page.keyboard.down("ArrowLeft")
            page.keyboard.down("+")
            running.until(lambda: (at("pan_x"), at("zoom")) == (0.012, 1.012))
            shown_by_then = running.worker.num_painted
            running.until(lambda: running.worker.num_painted > shown_by_then + 2)
            page.keyboard.up("ArrowLeft")
            running.until(lambda: (at("pan_x"), at("zoom")) == (0, 1.012))
            page.evaluate("window.dispatchEvent(new Event('blur'))")  # the page does not receive the key's release
            running.until(lambda: at("zoom") == 1)
            box = page.locator("#output").bounding_box()
            page.mouse.move(box["x"] + 0.97 * box["width"], box["y"] + box["height"] / 2)
            page.mouse.down()
            running.until(lambda: at("pan_x") < -0.02)
            page.mouse.up()
            running.until(lambda: at("pan_x") == 0)
            page.evaluate("""window.pad.axes = [0.05, -1, 0, 0];
              const seen = new Event('gamepadconnected'); seen.gamepad = window.pad; window.dispatchEvent(seen);""")
            running.until(lambda: at("pan_y") == pytest.approx(0.024) and at("pan_x") == 0)
            shown_by_then = running.worker.num_painted
            running.until(lambda: running.worker.num_painted > shown_by_then + 2)
            page.evaluate("""const gone = new Event('gamepaddisconnected'); gone.gamepad = window.pad;
              window.pad = null; window.dispatchEvent(gone);""")
            running.until(lambda: at("pan_y") == 0)
            assert "gamepad is gone" in page.inner_text("#news")
            page.click("#record")
            running.until(lambda: list(Path("recordings").glob("*.keys")) != [])
        [log] = Path("recordings").glob("*.keys")
        assert log.with_suffix(".mp4").is_file()
        entries = log.read_text("utf-8").splitlines()
        assert entries[0].startswith(f"# vidtrans dream {log.with_suffix('.png').name} --model dreamer")
        assert log.with_suffix(".png").is_file()
        assert any("pan_x=0.012" in entry and "zoom=1.012" in entry for entry in entries)
        assert any("pan_y=0.024" in entry for entry in entries)


class TestControls:
    def test_a_slider_moves_the_other_pages_what_is_refused_is_put_back_and_presets_are_kept(
        self, browser: Any, running: Running
    ) -> None:
        with page_at(browser, running.link()) as one, page_at(browser, running.link()) as two:
            one.evaluate("vidtrans.connection.send({ type: 'controls', values: { strength: 7 } })")
            one.wait_for_selector("#problem:not([hidden])")
            assert "strength" in one.inner_text("#problem")
            assert one.input_value("#control-strength") == "500"
            one.locator("#control-strength").fill("250")
            running.until(lambda: running.hub.state.controls.strength == 0.5)
            # Not with each frame that is drawn: a page below another one draws none.
            two.wait_for_function("() => document.getElementById('control-strength').value === '250'", polling=50)
            two.locator("#control-lerp").fill("0")
            two.fill("#preset-name", "calm <b>sea</b>")
            two.press("#preset-name", "Enter")
            load_it = two.get_by_role("button", name="calm <b>sea</b>", exact=True)
            load_it.wait_for()
            two.locator("#control-lerp").fill("1000")
            running.until(lambda: running.hub.state.controls.lerp > 0.9)
            load_it.click()
            running.until(lambda: running.hub.state.controls.lerp == 0)
            two.get_by_role("button", name="Delete calm").click()
            running.until(lambda: running.hub.saved.names == [])

    def test_a_mask_is_chosen_or_typed_and_a_wrong_one_is_put_back(self, browser: Any, running: Running) -> None:
        with page_at(browser, running.link()) as page:
            offered = page.eval_on_selector_all("#offered-mask option", "all => all.map((one) => one.value)")
            assert offered == ["person", "not person", "face", "not face", "key"]
            assert page.is_hidden("#control-mask_share")
            page.fill("#control-mask", "luma:0.5..1")
            page.press("#control-mask", "Enter")
            running.until(lambda: running.hub.state.controls.mask == "luma:0.5..1")
            page.wait_for_selector("#control-mask_share")
            page.fill("#control-mask", "man.mkv")
            page.press("#control-mask", "Tab")
            page.wait_for_selector("#problem:not([hidden])")
            page.wait_for_function("() => document.getElementById('control-mask').value === 'luma:0.5..1'")
            page.fill("#control-mask", "")
            page.press("#control-mask", "Enter")
            running.until(lambda: running.hub.state.controls.mask == "")

    @pytest.mark.thorough
    def test_a_key_and_a_knob_are_mapped_to_sliders(self, browser: Any, running: Running) -> None:
        midi = """window.port = { name: 'Knobs' };
          navigator.requestMIDIAccess = async () => ({ inputs: new Map([['a', window.port]]) });"""
        with page_at(browser, running.link(), script=midi) as page:
            strength = page.get_by_role("button", name="Map a key or a knob to Strength")
            strength.click()
            page.keyboard.press("q")
            page.keyboard.press("q")
            running.until(lambda: running.hub.state.controls.strength == pytest.approx(1.1))
            page.keyboard.press("Shift+Q")
            running.until(lambda: running.hub.state.controls.strength == pytest.approx(1.0))
            page.click("#midi")
            page.wait_for_function("() => document.getElementById('news').textContent.includes('Knobs')")
            page.get_by_role("button", name="Map a key or a knob to Keep colour").click()
            page.evaluate("port.onmidimessage({ data: [0xB2, 7, 1] })")
            page.evaluate("port.onmidimessage({ data: [0xB2, 7, 127] })")
            running.until(lambda: running.hub.state.controls.keep_colour == 1.0)
            page.evaluate("port.onmidimessage({ data: [0xB0, 7, 0] })")  # another channel is another knob
            page.reload()
            page.wait_for_function(SHOWS, arg="connected")
            page.keyboard.press("q")
            running.until(lambda: running.hub.state.controls.strength == pytest.approx(1.1))
            assert running.hub.state.controls.keep_colour == 1.0


class TestWithoutAMouse:
    @pytest.mark.thorough
    def test_all_is_done_by_keyboard(self, browser: Any) -> None:
        with serving(load("identity", "flower")) as running, page_at(browser, running.link()) as page:
            _tab_to(page, "[data-source=drawing]")
            page.keyboard.press("Enter")
            _tab_to(page, "#drawing")
            page.keyboard.press(" ")
            for _ in range(12):
                page.keyboard.press("Shift+ArrowRight")
            page.keyboard.press(" ")
            wait_until(page, is_dark(0.5, 0.75))
            page.keyboard.press("2")
            running.until(lambda: running.hub.state.controls.model == "flower")
            page.keyboard.press("m")
            running.until(lambda: running.hub.state.controls.mirror)
            page.keyboard.press("r")
            page.wait_for_selector("#record[aria-pressed=true]")
            _tab_to(page, "#control-strength")
            before = running.hub.state.controls.strength
            page.keyboard.press("ArrowLeft")
            running.until(lambda: running.hub.state.controls.strength < before)
            page.focus("#control-size")
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            running.until(lambda: running.hub.state.controls.size == 96)
            page.locator("#preset-name").type("mrf 1")  # letters in a field are letters
            assert page.input_value("#preset-name") == "mrf 1"
            assert running.hub.state.controls.mirror

    def test_all_has_a_name_for_those_who_do_not_see_it_and_fits_the_width_of_a_phone(self, browser: Any) -> None:
        wide = "() => [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 361)"
        nameless = """() => [...document.querySelectorAll('button, input, select, canvas, video, a, [role]')]
          .filter((e) => e.offsetParent && !e.closest('[aria-hidden=true]') && !(e.getAttribute('aria-label')
          || e.labels?.length || e.textContent.trim()
          || e.title || e.alt || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML)"""
        ink = make_model("ink.safetensors", "look", {"looks": ["ink"]})
        with serving(load("flower", ink)) as running, page_at(browser, running.link(), width=360) as page:
            for source in ("camera", "drawing"):
                page.click(f"[data-source={source}]")
                for details in page.locator("details:not([open]) > summary").all():
                    details.click() if details.is_visible() else None
                assert [e for e in page.evaluate(nameless) if 'id="news"' not in e] == []
                assert page.evaluate("document.documentElement.scrollWidth") == 360
                assert page.evaluate(f"({wide})().length") == 0
            draw(page, (0.2, 0.5), (0.8, 0.5))
            wait_until(page, lambda p: p.std() > 5)
            assert page.get_attribute("#news", "role") == "status"
            assert page.get_attribute("#problem", "role") == "alert"


@pytest.mark.thorough
def test_a_lost_connection_is_said_and_found_again(browser: Any) -> None:
    with ExitStack() as stack:
        with serving() as running:
            port = running.server.port
            page = stack.enter_context(page_at(browser, running.link(), is_calm=False))
            page.click("[data-source=camera]")
            wait_until(page, lambda p: p.std() > 10)
        page.wait_for_function("() => document.getElementById('connection').textContent.startsWith('no connection')")
        with serving(port=port) as running:
            page.wait_for_function(SHOWS, arg="connected")
            running.until(lambda: running.worker.num_painted > 3)
            assert running.hub.source == "camera"


def _tab_to(page: Any, selector: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement?.matches(s)", selector):
            return
    raise AssertionError(f"{selector} is not reached by Tab")
