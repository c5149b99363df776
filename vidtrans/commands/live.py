"""``vidtrans live``: serve a page on which models stylise pictures from drawings, a camera or another program."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.commands.options import missing_model_error, models_option, output_option
from vidtrans.commands.page_server import PageServerCommand
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.mask_files import parse_live_mask
from vidtrans.core.options import Group, Use, option, settings_with_use
from vidtrans.core.settings import Table, parse_size
from vidtrans.live import MAX_OUTPUT_SIDE_PX
from vidtrans.live.stage_settings import StageSettings, stage_settings
from vidtrans.pipeline.render import RenderingSettings, look_named
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings, medium_of_tables
from vidtrans.upscaling import STREAM_MODES

if TYPE_CHECKING:
    from vidtrans.live.hub import Hub
    from vidtrans.live.stage_worker import StageWorker
    from vidtrans.models.loaded_model import LoadedModel
    from vidtrans.models.look_pictures import Mixture, NamedPictures
    from vidtrans.web.server import WebServer

READS = settings_with_use(RenderingSettings, Use.STREAM)  # Keys of [rendering] that the command reads


@dataclass(frozen=True)
class Live(PageServerCommand):
    """Run models live on a camera or a drawing, in a page of your browser.

    It runs until Ctrl-C.
    """

    CONTEXT: ClassVar = ("device", "seed", "cache_dir")
    TABLES: ClassVar = {
        "pairing": (),
        "strokes": settings_with_use(StrokesSettings, Use.STREAM),
        "rendering": tuple(key for key in READS if key != "look"),
    }
    READS: ClassVar = READS

    model: tuple[str, ...] = models_option(
        "A model file or a model name. Can be repeated: the page switches and cross-fades between the models. "
        "Not required if --look names pictures or media, or --strokes a medium."
    )
    output: Path | None = output_option("The folder for recordings.", "the current one")
    _: KW_ONLY
    looks: tuple[str, ...] = option(
        (),
        "Look to use. Without a model: a picture, a mixture ('a.jpg: 0.6, b.jpg: 0.4'), a medium, or a bundled "
        "painting. With a model of several looks: the name of the first look. Can be repeated.",
        Group.LOOK,
        ("--look",),
        metavar="PICTURE|LOOK",
        file="look",
    )
    kiosk: bool = option(
        False, "Also print a link to a page with only the output and the camera, for installations.", Group.SERVER
    )
    upscale: str = option(
        STREAM_MODES[0],
        "Upscaling of the model's picture to the size of the source. luma: sharp, with the source's light and "
        "dark where picture and source agree. bicubic: soft. off: no upscaling.",
        Group.LOOK,
        choices=(*STREAM_MODES, "off"),
    )
    output_size: int = option(
        0,
        "Short side of the pictures in pixels, at most that of the source.",
        Group.LOOK,
        bounds=(0, MAX_OUTPUT_SIDE_PX),
        default_text="480, on an Nvidia GPU 1080",
    )
    mask: str = option(
        "",
        "Apply the look only where a mask is white; the rest shows the source. MASK: person, face, key (in "
        "front of a green or blue screen), colour:#c03020,25 or luma:0.5..1, found in each frame. 'not "
        "person' inverts a mask; + and - combine masks.",
        Group.LOOK,
        metavar="MASK",
        default_text="everywhere",
    )
    osc: str = option(
        "", "Receive Open Sound Control (OSC) messages at a UDP port.", Group.SERVER, metavar="[HOST:]PORT"
    )
    osc_out: str = option("", "Send changes as Open Sound Control (OSC) messages.", Group.SERVER, metavar="HOST:PORT")
    send: tuple[str, ...] = option(
        (),
        "Send the pictures to other programs: virtual-camera, ndi, spout (Windows) or syphon (macOS). Can be repeated.",
        Group.SERVER,
        metavar="NAME",
    )
    receive: str = option(
        "",
        "Take the pictures of another program as the source: ndi, spout (Windows) or syphon (macOS). NAME: the name of "
        "the source, or a part of it. By default, the first source is used.",
        Group.SERVER,
        metavar="KIND[:NAME]",
    )
    recipe: Recipe

    def __post_init__(self) -> None:
        if not (self.model or self._looks or medium_of_tables(self.recipe.tables)):
            raise missing_model_error("live")
        self.check_address("see the page and use the models")
        self._stage_settings()
        parse_live_mask(self.mask)

    def make(self, context: Context) -> Table:
        """Serve the live page until a stop is requested. Raises UsageError, ModelError, DeviceError."""
        loading = f"loading {', '.join((*self.model, *self._looks)) or medium_of_tables(self.recipe.tables)}"
        context.begin(loading)
        from vidtrans.live.app import serve
        from vidtrans.live.senders import check_libraries
        from vidtrans.live.stage_connections import StageConnections
        from vidtrans.web.server import WebServer

        check_libraries(self.send)
        hub, worker = self.open(context)
        with ExitStack() as stack:
            stack.callback(worker.close)
            connections = StageConnections(hub, self._stage_settings())
            stack.callback(connections.close)
            context.report(Progress(loading, 1, 1))
            server = WebServer(self.address())  # The models are loaded first: an open port means a working server.
            self._announce(server, context)
            serve(server, hub, context.stop, connections)
        return {
            "output": str(hub.recordings.last) if hub.recordings.last else None,
            "frames": worker.num_painted,
            "dropped": worker.num_dropped,
        }

    def open(self, context: Context) -> tuple[Hub, StageWorker]:
        """Load the models; return the hub (connections to pages) and the worker (renders), which the caller closes.

        Raises UsageError, ModelError, MediaError, DeviceError.
        """
        from vidtrans.live.live_controls import SavedControls, presets_path
        from vidtrans.live.live_session import first_controls, open_session
        from vidtrans.models.at_once import predict_model_from_pictures
        from vidtrans.models.paintings import painting_picture
        from vidtrans.strokes.media import medium_picture

        models = self._load_models(context)
        pictures, look = self._pictures(models)
        rendering = replace(self.recipe.settings("rendering", RenderingSettings), look=look)
        mixtures: dict[str, Mixture] = {}
        strokes = dict.fromkeys(models, self.recipe.settings("strokes", StrokesSettings))
        for one in pictures:
            model = _unique(predict_model_from_pictures(one, context), models)
            recipe = one.with_model(self.recipe)
            models[model.name], strokes[model.name] = model, recipe.settings("strokes", StrokesSettings)
            if one.looks:
                mixtures[model.name] = one.looks[one.value]
            elif (shown := medium_picture(one.medium) or painting_picture(one.painting)) is not None:
                mixtures[model.name] = ((shown, 1.0),)
        name = next(iter(models))
        first = first_controls(
            name, rendering, strokes[name], upscale=self.upscale, output_size=self.output_size, mask=self.mask
        )
        saved = SavedControls(presets_path())
        return open_session(models, rendering, saved, self.output or Path(), context, first, mixtures, strokes)

    def describe(self, table: Table) -> str:
        """Return the number of painted frames and the recording's path, as text. ``table``: the result of ``make``."""
        recorded = f", recorded {table['output']}" if table["output"] else ""
        return f"painted {count(table['frames'], 'frame')}{recorded}"

    @property
    def _looks(self) -> tuple[str, ...]:
        """Return the values of --look; without them, the look that the recipe names, or () for none."""
        look = look_named(self.recipe.tables)
        return self.looks or ((look,) if look else ())

    def _pictures(self, models: Mapping[str, LoadedModel]) -> tuple[list[NamedPictures], str]:
        """Divide the values of --look into style pictures, and the name of a loaded model's style ('' for none).

        Raises UsageError.
        """
        from vidtrans.live.live_controls import looks_of
        from vidtrans.live.picture_looks import MAX_PICTURES
        from vidtrans.models.look_pictures import is_style, names_pictures, parse_pictures, unknown_look_error

        known_looks = [look for model in models.values() for look in looks_of(model)]
        model_looks = [look for look in self._looks if look in known_looks or not is_style(look)]
        model_looks = [look for look in model_looks if models and not names_pictures(look)]
        if len(model_looks) > 1:
            remedy = "give one look of a model, and pictures"
            raise UsageError(f"--look {model_looks[1]}", "it is not a picture", remedy)
        if unknown := [look for look in model_looks if look not in known_looks]:
            raise unknown_look_error(unknown[0], known_looks)
        pictures = [parse_pictures(look) for look in self._looks if look not in model_looks]
        for one in pictures:
            if not one.medium and not one.painting and one.value not in one.looks:
                raise UsageError("keyframes for look", "a live source has no timeline", "repeat --look")
            if one.has_clip:
                why = "there is no clip, whose own style it would be"
                raise UsageError(f"--look {one.value}", why, "name pictures alone")
        if (many := sum(bool(one.looks) for one in pictures)) > MAX_PICTURES:
            raise UsageError("--look", f"it names {many} pictures", f"give up to {MAX_PICTURES}")
        return pictures, next(iter(model_looks), "")

    def _load_models(self, context: Context) -> dict[str, LoadedModel]:
        """Load the models of --model; return them by name. Raises UsageError, ModelError."""
        from vidtrans.models.loaded_model import OWN_SIZES, load_model
        from vidtrans.models.look_pictures import models_named

        models: dict[str, LoadedModel] = {}
        changes, known = self.recipe.pairing_changes, set[str]()
        for name in self.model if self._looks else models_named(self.model, self.recipe.tables):
            changes_for_model = _known_changes(name, changes)
            model, known = load_model(name, context, changes_for_model), known | set(changes_for_model)
            model = _unique(model, models)
            models[model.name] = model
        if unknown := sorted(set(changes) - known):
            if not self.model:
                raise UsageError(
                    f"--set pairing.{unknown[0]}", "looks of pictures have no such setting", "leave it out"
                )
            load_model(self.model[0], context, changes)  # Raises with the reason.
        size = self.recipe.settings("rendering", RenderingSettings).size
        if size not in OWN_SIZES and parse_size(size).short is None:
            raise UsageError(
                f"--size {size}", "live sources differ in size and shape", "give only the short side: --size 256"
            )
        return models

    def _stage_settings(self) -> StageSettings:
        """Return the settings for Open Sound Control and for sending pictures to other programs. Raises UsageError."""
        return stage_settings(self.osc, self.osc_out, self.send, self.receive, allow_network=self.allow_network)

    def _announce(self, server: WebServer, context: Context) -> None:
        """Print the links to the page and who can reach it; open it in the browser, if --open is set."""
        link = server.link()
        context.note(f"open {link}")
        if self.kiosk:
            context.note(f"kiosk: {server.link(kiosk=True)}")
        context.note(f"for OBS and second screens: {server.link('/output')}")
        if self.osc:
            context.note(f"OSC: listening at UDP {self._stage_settings().osc}; addresses: {server.link('/osc')}")
        if server.address.is_open and not self.https:
            context.note("without --https the page can use a camera only on this machine, not on a phone")
        self.announce_reach(server, context, "watch, draw and record here")
        self.open_in_browser(server.link(kiosk=self.kiosk))


def _unique(model: LoadedModel, models: Mapping[str, LoadedModel]) -> LoadedModel:
    """Return the model; if one of ``models`` has its name, the returned model has a number added to the name."""
    names = (model.name, *(f"{model.name}-{number}" for number in range(2, 99)))
    return replace(model, name=next(name for name in names if name not in models))


def _known_changes(name: str, changes: Mapping[str, Any]) -> Table:
    """Return those of the setting ``changes`` whose keys the pairing of the model ``name`` has. Raises ModelError."""
    from vidtrans.models.model_file import find_model, read_record
    from vidtrans.pairing import PAIRINGS

    path = find_model(name)
    kind = "aligned" if path is None else read_record(path).pairing["name"]
    known = {f.name for f in fields(PAIRINGS.load(kind).Settings)}
    return {key: value for key, value in changes.items() if key in known}
