"""The routes of media: files, moving thumbnails, exact frames, and proxies of clips."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vidtrans.core.errors import UsageError
from vidtrans.models.look_pictures import medium_picture
from vidtrans.strokes.media import medium_names
from vidtrans.studio.messages import number_in, refusing, text_in
from vidtrans.studio.project_folder import file_kind
from vidtrans.studio.studio_session import StudioSession

LONGEST_SIDE = 8192  # pixels, of a frame that a page asks for
SHOWN = ("clip", "picture")  # other files are downloaded: a page from somewhere may hold scripts


def media_routes(session: StudioSession) -> list[Route]:
    """Return the routes."""
    shown = ShownMedia(session)
    gets = {
        "/media": shown.media,
        "/medium": shown.medium,
        "/thumb": shown.thumb,
        "/frame": shown.frame,
        "/facts": shown.facts,
        "/proxy": shown.proxy,
    }
    return [Route(path, refusing(handler)) for path, handler in gets.items()]


class ShownMedia:
    """The handlers."""

    def __init__(self, session: StudioSession) -> None:
        self.session, self.folder = session, session.folder

    async def media(self, request: Request) -> Response:
        """Return a file: clips and pictures to show, others as downloads."""
        path = self.folder.existing(text_in(request, "name"))
        if path.is_dir():
            raise UsageError(path.name, "it is a folder", "choose a file in it")
        if file_kind(path) in SHOWN and "download" not in request.query_params:
            return FileResponse(path)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    async def medium(self, request: Request) -> Response:
        """Return the picture that shows a medium."""
        name = text_in(request, "name")
        picture = medium_picture(name) if name in medium_names() else None
        if picture is None:
            raise UsageError(name, "there is no picture of this medium", f"choose one of {', '.join(medium_names())}")
        return FileResponse(picture)

    async def thumb(self, request: Request) -> Response:
        """Return a moving thumbnail, its frames side by side; their number is in a header."""
        path = self.folder.picture_of(text_in(request, "name"))
        facts, file = await self.session.decoded(self.session.media.strip, path)
        headers = {"x-frames": str(facts["frames"]), "x-size": f"{facts['of'][0]}x{facts['of'][1]}"}
        return FileResponse(file, media_type="image/jpeg", headers=headers)

    async def frame(self, request: Request) -> Response:
        """Return a frame of a clip, exactly, as PNG or JPEG."""
        path, number = self.folder.existing(text_in(request, "name")), number_in(request, "frame")
        short = min(number_in(request, "short"), LONGEST_SIDE) if "short" in request.query_params else 0
        kind = "png" if request.query_params.get("kind") == "png" else "jpeg"
        data = await self.session.decoded(self.session.media.frame, path, number, short, kind)
        return Response(data, media_type=f"image/{kind}")

    async def facts(self, request: Request) -> Response:
        """Return what is known of a clip; its proxy begins to be made."""
        path = self.folder.existing(text_in(request, "name"))
        return JSONResponse(await self.session.decoded(self.session.media.facts, path))

    async def proxy(self, request: Request) -> Response:
        """Return the small film of a clip."""
        file = self.session.media.proxy(self.folder.existing(text_in(request, "name")))
        if not file.is_file():
            raise UsageError(text_in(request, "name"), "its proxy is not made yet", "ask for /facts first")
        return FileResponse(file, media_type="video/mp4")
