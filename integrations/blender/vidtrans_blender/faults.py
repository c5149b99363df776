"""The error of the add-on that a person can act on."""

from __future__ import annotations


class UserError(Exception):
    """A mistake or an obstacle, in one line: what is wrong — what to do."""
