"""The options of commands that serve a page on this machine, and the notes on who can reach it."""

from __future__ import annotations

import re
import webbrowser
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.commands.base import Command
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, option
from vidtrans.session import Context
from vidtrans.web import LOOPBACK

if TYPE_CHECKING:
    from vidtrans.web.server import Address, WebServer

DEFAULT_PORT = 8765  # Default TCP port of the served page
MIN_TOKEN_CHARS = 16  # Minimum length of the access token in the page's link, in characters


@dataclass(frozen=True)
class PageServerCommand(Command):
    """Base class of commands that serve a browser page, with the options of the server."""

    _: KW_ONLY
    host: str = option(LOOPBACK[0], "Address of the server.", Group.SERVER)
    port: int = option(DEFAULT_PORT, "Port of the server; 0 selects a free port.", Group.SERVER, bounds=(0, 65535))
    allow_network: bool = option(False, "Allow access from other machines on the network.", Group.SERVER)
    https: bool = option(
        False, "Use HTTPS with a certificate for this machine's names. The camera of a phone requires it.", Group.SERVER
    )
    token: str = option(
        "",
        "The secret text in the page's link, without which nobody can open the page. Set it to keep the same link.",
        Group.SERVER,
        default_text="a new one",
    )
    open_page: bool = option(False, "Open the page in the browser.", Group.SERVER, ("--open",))

    def check_address(self, visitors: str) -> None:
        """Raise UsageError if the address or the access token is not allowed.

        ``visitors``: what others on the network could do on the page, as text for the message.
        """
        if self.host not in LOOPBACK and not self.allow_network:
            why = f"others on the network could {visitors}"
            raise UsageError(f"--host {self.host}", why, "add --allow-network if that is meant")
        if self.token and (len(self.token) < MIN_TOKEN_CHARS or not re.fullmatch(r"[A-Za-z0-9_-]+", self.token)):
            why = f"a token has at least {MIN_TOKEN_CHARS} letters, digits, - and _"
            raise UsageError("--token", why, "leave it out: one is made")

    def address(self) -> Address:
        """Return the server's address, with an access token and, for --https, the certificate's folder."""
        from vidtrans.web.access import new_token
        from vidtrans.web.certificate import certificate_folder
        from vidtrans.web.server import Address

        folder: Path | None = certificate_folder() if self.https else None
        return Address(self.host, self.port, self.token or new_token(), folder)

    def announce_reach(self, server: WebServer, context: Context, visitors: str) -> None:
        """Print who can reach the page, and how to stop the server; on an open network, also a link for a phone.

        ``visitors``: what others on the network can do on the page, as text for the message.
        """
        if server.address.is_open:
            from vidtrans.web.server import qr_text

            outward = server.link(outward=True)
            who = f"--host {self.host}: anybody on this network who has the link can {visitors}"
            context.note(who, "warning")
            context.note(f"on a phone: {outward}\n{qr_text(outward)}")
        if self.https:
            context.note("the certificate is this machine's own: the browser asks once whether to trust it")
        context.note("Ctrl-C ends it")

    def open_in_browser(self, link: str) -> None:
        """Open a link in the browser, if --open is set."""
        if self.open_page:
            webbrowser.open(link)
