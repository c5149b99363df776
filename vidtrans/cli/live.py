"""``vidtrans live``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import models_option, output_option, setting_option
from vidtrans.requests import LOOPBACK, PORT

if TYPE_CHECKING:
    from vidtrans.requests import LiveRequest
    from vidtrans.session import Context


@click.command("live")
@models_option("May be repeated: the page switches and cross-fades between them.")
@output_option("The folder of recordings.  [default: the current one]")
@setting_option("--size", "rendering", "size", "The short side at which models paint, or trained.", metavar="N|trained")
@click.option("--host", default=LOOPBACK[0], show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
@click.option("--allow-network", is_flag=True, help="Let --host be one that others on the network reach.")
@click.option(
    "--https", is_flag=True, help="With a certificate for this machine's names, so that a phone can be the camera."
)
@click.option("--token", default="", help="What the link holds, where it has to stay the same.  [default: a new one]")
@click.option(
    "--kiosk",
    is_flag=True,
    help="Print a link to the output alone, with the camera; for installations.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@command_options(
    "device", "seed", "cache_dir", request="LiveRequest", tables=("pairing", "rendering"), reads="LIVE_READS"
)
def live(request: LiveRequest, context: Context, console: Console) -> None:
    """Draw, or stand before the camera, and see a model answer, in a page of your browser.

    It runs until Ctrl-C.
    """
    from vidtrans.pipeline.live import live as serve

    table = serve(request, context)
    recorded = f", recorded {table['output']}" if table["output"] else ""
    console.result(table, f"painted {table['frames']} frames{recorded}")
