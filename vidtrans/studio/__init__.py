"""The server of ``vidtrans studio``: the files of a project folder, its jobs, and what its page shows of them."""

from __future__ import annotations

STATE = ".studio"  # the folder, in the project's, of jobs, previews and deleted files
