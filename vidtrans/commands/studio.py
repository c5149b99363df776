"""``vidtrans studio``: serve a browser page for training, painting and rendering, for users without a terminal."""

from __future__ import annotations

import contextlib
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.page_server import PageServerCommand
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class Studio(PageServerCommand):
    """Make looks, paint, judge and render in a page of your browser, with the files of FOLDER.

    It runs until Ctrl-C. Jobs continue after that, and the next start shows them.
    """

    CONTEXT: ClassVar = ()

    folder: Path = argument("[FOLDER]", default=Path())
    _: KW_ONLY
    jobs: int = option(1, "Number of jobs that run at the same time.", Group.SPEED, bounds=(1, 64))

    def __post_init__(self) -> None:
        self.check_address("see, change and delete the files of the folder")

    def make(self, context: Context) -> Table:
        """Serve the studio's page until a stop is requested. Raises UsageError, OSError."""
        from vidtrans.commands.page_commands import LiveRoomCommand, PageCommands
        from vidtrans.studio.project_folder import ProjectFolder
        from vidtrans.studio.studio_app import serve
        from vidtrans.studio.studio_session import StudioSession
        from vidtrans.web.server import WebServer

        if not self.folder.is_dir():
            raise UsageError(str(self.folder), "there is no such folder", "make it, or name another")
        folder = ProjectFolder(self.folder)
        folder.prepare()
        commands, live = PageCommands(folder.check_value), LiveRoomCommand(folder.check_value, folder.root)
        session = StudioSession(folder, commands, self.jobs, context.report, live)
        # Settings and file names are relative to the current folder, so change to the project's folder.
        with folder.owned(), contextlib.chdir(folder.root):
            server = WebServer(self.address())
            link = server.link()
            context.note(f"open {link}")
            self.announce_reach(server, context, "see, change and delete the files of the folder")
            self.open_in_browser(link)
            serve(server, session, context.stop)
        num_running = sum(job["state"] == "running" for job in session.jobs)
        return {"output": None, "folder": str(folder.root), "running": num_running}

    def describe(self, table: Table) -> str:
        """Return the number of jobs that still run, as text. ``table``: the result of ``make``."""
        number = table["running"]
        return f"{number} still {'runs' if number == 1 else 'run'}" if number else "nothing runs any more"
