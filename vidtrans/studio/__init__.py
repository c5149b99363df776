"""The server of ``vidtrans studio``: the files of a project folder, its jobs, and previews for its page."""

from __future__ import annotations

STATE = ".studio"  # Folder in the project folder for jobs, previews, uploads and deleted files
