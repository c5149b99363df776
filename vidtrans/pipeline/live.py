"""``vidtrans live``: models that paint what a page, a camera or a program sends."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.errors import UsageError
from vidtrans.live import missing_packages
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.models.model_file import find_model, read_record
from vidtrans.pairing import PAIRINGS
from vidtrans.requests import LiveRequest
from vidtrans.session import Context
from vidtrans.settings import Table, parse_size

if TYPE_CHECKING:
    from vidtrans.live.server import LiveServer


def live(request: LiveRequest, context: Context) -> Table:
    """Serve the page until a stop is requested, and return what is reported.

    Raises UsageError, ModelError, DeviceError.
    """
    if missing := missing_packages():
        raise UsageError("vidtrans live", f"{missing[0]} is not installed", "pip install 'vidtrans[live]'")
    from vidtrans.live.access import new_token
    from vidtrans.live.live_session import LiveSession
    from vidtrans.live.presets import SavedControls, default_path
    from vidtrans.live.server import Address, LiveServer

    rendering = request.recipe.settings("rendering", RenderingSettings)
    models = _load_models(request, context)
    certificates = default_path().parent if request.https else None
    address = Address(request.host, request.port, request.token or new_token(), certificates)
    session = LiveSession(models, rendering, context)
    hub, worker = session.open(SavedControls(default_path()), request.output or Path())
    try:
        server = LiveServer(address)  # after the models: whoever finds the port open is answered
        _announce(request, server, context)
        server.run(hub, worker, context.stop)
    finally:
        worker.close()
    return {
        "output": str(hub.recordings.last) if hub.recordings.last else None,
        "frames": worker.num_painted,
        "dropped": worker.num_dropped,
    }


def _load_models(request: LiveRequest, context: Context) -> dict[str, LoadedModel]:
    """Return the models by name. Raises UsageError, ModelError."""
    models: dict[str, LoadedModel] = {}
    changes, known = request.recipe.pairing_changes, set[str]()
    for name in request.models:
        own = _known_changes(name, changes)
        model, known = load_model(name, context, own), known | set(own)
        if model.name in models:
            model = replace(model, name=next(n for k in range(2, 99) if (n := f"{model.name}-{k}") not in models))
        models[model.name] = model
    if set(changes) - known:
        load_model(request.models[0], context, changes)  # which says what is wrong
    size = request.recipe.settings("rendering", RenderingSettings).size
    if size != "trained" and parse_size(size).short is None:
        raise UsageError(f"--size {size}", "sources have sizes of their own", "give the short side, as in --size 256")
    return models


def _known_changes(name: str, changes: Mapping[str, Any]) -> Table:
    """Return those of the changes that are settings of a model's pairing. Raises ModelError."""
    path = find_model(name)
    kind = "aligned" if path is None else read_record(path).pairing["name"]
    known = {f.name for f in fields(PAIRINGS.load(kind).Settings)}
    return {key: value for key, value in changes.items() if key in known}


def _announce(request: LiveRequest, server: LiveServer, context: Context) -> None:
    """Print the links."""
    link = server.link()
    context.note(f"open {link}")
    if request.kiosk:
        context.note(f"kiosk: {server.link(kiosk=True)}")
    context.note(f"for OBS and second screens: {server.link('/output')}")
    if server.address.is_open:
        outward = server.link(outward=True)
        context.note(
            f"--host {request.host}: anybody on this network who has the link can watch, draw and record here",
            "warning",
        )
        context.note(f"on a phone: {outward}\n{_code(outward)}")
        if not request.https:
            context.note("browsers give their camera to this page on this machine only; elsewhere add --https")
        else:
            context.note("the certificate is this machine's own: the browser asks once whether to trust it")
    context.note("Ctrl-C ends it")
    if request.open_page:
        webbrowser.open(server.link(kiosk=request.kiosk))


def _code(link: str) -> str:
    """Return a link as a QR code, in characters."""
    import io

    import segno

    drawn = io.StringIO()
    segno.make(link, error="l").terminal(drawn, compact=True)
    return drawn.getvalue()
