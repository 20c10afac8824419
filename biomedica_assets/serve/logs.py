"""Structured logs: one JSON object a line, each with the request it belongs to. Never query texts, keys or bodies.

What does not belong here: counting (`metrics`).
"""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered."""

_GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
access = logging.getLogger("biomedica_assets.serve.access")


def new_request_id(given: str | None) -> str:
    """The caller's X-Request-ID when it is a harmless one, else a new one."""
    return given if given and _GIVEN.fullmatch(given) else uuid.uuid4().hex


class JsonLines(logging.Formatter):
    """A record as a line of JSON: time, level, logger, message, request_id, and what ``extra={"facts": ...}`` adds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := request_id.get():
            line["request_id"] = found
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str = "INFO") -> None:
    """Let this process log JSON lines to stderr; safe to call again. Uvicorn's own access log is replaced by ours."""
    root = logging.getLogger()
    if not root.handlers:  # whoever embeds the app has handlers of its own
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        root.addHandler(handler)
        root.setLevel("WARNING")
    logging.getLogger("biomedica_assets").setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = name != "uvicorn.access"
        logger.setLevel("INFO")
