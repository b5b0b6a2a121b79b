"""No secret reaches a log line, by name, by shape or inside a trace-back."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from kernel.log import configure_logging

CANARY = "canary-9f31"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


@pytest.mark.parametrize("name", ["password", "new_password", "api_key", "Stripe-Signature", "cookie", "session_id"])
def test_a_value_under_a_secret_name_is_hidden(lines: io.StringIO, name: str) -> None:
    structlog.get_logger().info("event", **{name: CANARY})

    assert CANARY not in lines.getvalue()
    assert json.loads(lines.getvalue())["event"] == "event"


@pytest.mark.parametrize(
    "text",
    [
        f"sk_test_{CANARY.replace('-', '')}",
        f"key trf_abc_{CANARY.replace('-', '')}",
        f"postgresql://owner:{CANARY}@db.example/tarifa",
        f"whsec_{CANARY.replace('-', '')}",
    ],
)
def test_a_secret_inside_a_text_is_hidden_by_its_shape(lines: io.StringIO, text: str) -> None:
    logging.getLogger("library").warning("failed: %s", text)

    assert "canary" not in lines.getvalue()


def test_a_secret_in_a_trace_back_is_hidden(lines: io.StringIO) -> None:
    try:
        raise ValueError("sk_live_canary9f31 is not allowed")  # noqa: TRY301 - the raise is what is tested
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)

    assert "canary" not in lines.getvalue()
    assert "ValueError" in lines.getvalue()


def test_secrets_in_nested_values_are_hidden(lines: io.StringIO) -> None:
    structlog.get_logger().info("event", request={"headers": [{"authorization": CANARY}]})

    assert CANARY not in lines.getvalue()
