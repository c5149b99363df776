"""``vidtrans live`` as a person starts and ends it."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from chain import refuse
from documented import check_described
from live_server import flat, pixels, png
from processes import needs_signals
from served_command import started
from style_pictures import write_style_pictures

from vidtrans.web.certificate import find_certificate, machine_names

Capsys = pytest.CaptureFixture[str]
LIVE = ("live", "--device", "cpu")


def post(link: str, level: int, context: ssl.SSLContext | None = None, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    return post_picture(link, flat(level, size), context)


def post_picture(link: str, picture: np.ndarray, context: ssl.SSLContext | None = None) -> np.ndarray:
    headers = {"content-type": "image/png", "accept": "image/png"}
    request = urllib.request.Request(link.replace("/?", "/frame?"), png(picture), headers=headers)
    with urllib.request.urlopen(request, timeout=300, context=context) as answer:
        return pixels(answer.read())


@needs_signals
def test_it_prints_its_link_paints_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with started(*LIVE, "--model", "identity", "--json") as (link, lines):
        assert link.startswith("http://127.0.0.1:")
        assert (post(link, 99) == 99).all()
        with urllib.request.urlopen(link, timeout=300) as page:
            assert b'id="output"' in page.read()
    (table,) = [json.loads(line) for line in lines if line.startswith("{")]
    check_described(("live",), table)
    assert (table["frames"], table["dropped"], table["output"], table["cached"]) == (1, 0, None, False)
    assert any("/output?token=" in line for line in lines)


@pytest.mark.thorough
def test_https_is_for_this_machines_names_and_the_network_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    network = ("--host", "0.0.0.0", "--allow-network", "--https")
    with started(*LIVE, "--model", "identity", "--token", "the-same-one-each-day", *network) as (link, lines):
        assert link.startswith("https://")
        assert link.endswith("the-same-one-each-day")
        (certificate,) = (tmp_path / "data").rglob("*certificate.pem")
        trusting = ssl.create_default_context(cafile=certificate)
        assert (post(link, 7, trusting) == 7).all()
    text = "\n".join(lines)
    assert "anybody on this network" in text
    assert "on a phone: https://" in text
    assert "█" in text or "###" in text  # the QR code, in signs that the output has


def test_a_certificate_is_kept_while_it_serves(tmp_path: Path) -> None:
    names = machine_names()
    certificate, key = find_certificate(tmp_path, names)
    first = certificate.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    assert find_certificate(tmp_path, names[:2])[0].read_bytes() == first
    assert find_certificate(tmp_path, [*names, "another.example"])[0].read_bytes() != first
    certificate.write_text("damaged")
    assert find_certificate(tmp_path, names)[0].read_bytes().startswith(b"-----BEGIN CERTIFICATE")


def test_mistakes_are_one_line(tmp_path: Path, capsys: Capsys) -> None:
    stripes, chequers = write_style_pictures(tmp_path)
    identity, flower, oil = ("--model", "identity"), ("--model", "flower"), ("--strokes", "oil")
    taken = socket.create_server(("127.0.0.1", 0))
    for arguments, why in (
        ((), "--look"),
        ((*identity, "--host", "0.0.0.0"), "--allow-network"),
        ((*identity, "--host", "192.0.2.1", "--allow-network"), "--port or --host"),
        ((*identity, "--port", taken.getsockname()[1]), "in use"),
        ((*identity, "--token", "short"), "16"),
        ((*identity, "--token", "with a space in the midst"), "letters"),
        ((*identity, "--size", "640x360"), "short side"),
        ((*identity, "--mask", "man.mkv"), "mask man.mkv: a file's frames belong to no live source"),
        ((*identity, "--mask", "person - persn"), "did you mean 'person'"),
        ((*identity, "--mask", "luma:0.6..0.2"), "0 to 1"),
        ((*identity, "--mask", "key:#c03020"), "neither green nor blue"),
        ((*identity, "--upscale", "guided"), "luma"),
        ((*identity, "--output-size", "9999"), "output-size"),
        ((*identity, "--set", "rendering.strength=3"), "strength"),
        ((*identity, "--set", "rendering.strength=0: 1, 9: 0"), "no timeline"),
        ((*identity, "--set", "pairing.density=0.2"), "density"),
        ((*identity, "--set", "rendering.cuts=off"), "cuts"),
        ((*identity, "--set", "encoding.codec=h265"), "encoding"),
        (("--look", "absent.jpg"), "no such picture"),
        (("--look", f"{stripes}: 1, clip: 1"), "there is no clip"),
        (("--look", f"0: {stripes}, 5s: {chequers}"), "no timeline"),
        (("--look", stripes) * 17, "16"),
        (("--look", stripes, "--set", "pairing.density=1"), "no such setting"),
        (("--strokes", "oyl"), "did you mean 'oil'"),
        ((*oil, "--strokes-size", "0: 1, 2s: 2"), "no timeline"),
        ((*oil, "--set", "strokes.fine=a.png"), "no clip"),
        ((*flower, "--look", "one", "--look", "absent.jpg"), "not a picture"),
        ((*flower, "--look", "pensil"), "to paint what the model makes in pencil: --strokes pencil"),
    ):
        assert why in refuse(capsys, 2, "live", *arguments)
    taken.close()
    Path("text.png").write_text("no picture")
    assert "--look text.png" in refuse(capsys, 3, "live", "--look", "text.png")
    assert "no model" in refuse(capsys, 3, "live", "--model", "none such")
