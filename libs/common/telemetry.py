"""Logs as JSON lines with the ids that tie a request, a message and a job together, and W3C trace context."""

import logging
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

# A later version may say more behind the flags; version ff and ids of zeros are invalid.
_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)


@contextmanager
def log_context(**fields: str | None) -> Iterator[None]:
    """Within this block, and in tasks started from it, every log line carries `fields` (those that are not None)."""
    merged = {**(_context.get() or {}), **{key: value for key, value in fields.items() if value is not None}}
    token = _context.set(merged)
    try:
        yield
    finally:
        _context.reset(token)


def current(field: str) -> str | None:
    """The value of a field of the surrounding `log_context`, such as `traceparent`."""
    return (_context.get() or {}).get(field)


def new_traceparent() -> str:
    """A fresh sampled W3C `traceparent` (https://www.w3.org/TR/trace-context/, version 00)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_traceparent(parent: str | None) -> str:
    """A new span in the trace of `parent`, sampled if that is; a new trace when `parent` is missing or malformed."""
    found = _TRACEPARENT.fullmatch(parent or "")
    if found is None or (found["version"] == "00" and found["more"]):
        return new_traceparent()
    sampled = int(found["flags"], 16) & 1  # the only flag of version 00; what else is set is not ours to pass on
    return f"00-{found['trace']}-{secrets.token_hex(8)}-{sampled:02x}"


def going_on(trace: str | None) -> str | None:
    """Which span to be a child of, so that the trace of `trace` goes on: the surrounding one if it is in it, else `trace`."""
    here = current("traceparent")
    if trace is None or (here is not None and here.split("-")[1:2] == trace.split("-")[1:2]):
        return here
    return trace


class _ContextFilter(logging.Filter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        fields = _context.get() or {}
        record.service = fields.get("service", self._service)
        for key, value in fields.items():
            if not hasattr(record, key):
                setattr(record, key, value)
        return True


def configure_logging(service: str, *, level: str = "INFO", stream: Any = None) -> None:
    """Log JSON lines to `stream` (default: standard error), once per process; libraries' loggers included."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    handler.addFilter(_ContextFilter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # One access line per request is written by libs.common.web; these would repeat it, or log every byte count.
    for noisy in ("uvicorn.access", "httpx", "httpcore", "aiormq.connection", "botocore", "aiobotocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
