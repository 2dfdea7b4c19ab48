"""Errors that nobody foresaw: whoever asked is told an id, under which the log has the rest."""

from __future__ import annotations

import logging
import secrets

logger = logging.getLogger(__name__)

_NOTE = "incident "


def log_says(error: BaseException, what: str) -> str:
    """The sentence for whoever asked: where the reason is, and never the reason itself, which may tell anything."""
    return f"The log says why under error {recorded(error, what)}."


def recorded(error: BaseException, what: str) -> str:
    """The id under which the log has `error` and its traceback, once; `what` is what failed, for the log."""
    for note in getattr(error, "__notes__", ()):
        if note.startswith(_NOTE):
            return str(note.removeprefix(_NOTE))
    number = secrets.token_hex(4)
    error.add_note(_NOTE + number)
    logger.error("%s (error %s)", what, number, exc_info=error)
    return number
