"""Open Sound Control (OSC 1.0 over UDP) for a live session: each control has an address to set and to report it.

A thread reads packets into an inbox that keeps the last message of each address (``osc_messages``); the event loop's
thread turns them into the commands of pages, and another thread sends changed values (``osc_bridge``). The addresses
are derived from the controls (``osc_addresses``).
"""

from __future__ import annotations
