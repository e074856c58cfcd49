"""W3C trace context: what a service makes of the header that it was called with."""

import re

import pytest

from libs.common.telemetry import child_traceparent, new_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")


@pytest.mark.parametrize(
    "parent", [f"00-{TRACE}-00f067aa0ba902b7-01", f"01-{TRACE}-00f067aa0ba902b7-03-later", ""], ids=["known", "later", "new"]
)
def test_a_child_is_another_span_of_the_same_trace(parent: str) -> None:
    parent = parent or new_traceparent()
    child = child_traceparent(parent)
    assert VALID.fullmatch(child)
    assert child.split("-")[1] == parent.split("-")[1]
    assert child.split("-")[2] != parent.split("-")[2]
    assert child.endswith("-01")


def test_who_does_not_sample_is_followed() -> None:
    assert child_traceparent(f"00-{TRACE}-00f067aa0ba902b7-00").endswith("-00")


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7-zz",
        f"00-{TRACE}-00f067aa0ba902b7-01-more",
        f"00-{TRACE}-00f067aa0ba902b7-01\n",
    ],
)
def test_a_malformed_header_begins_a_new_trace(parent: str | None) -> None:
    child = child_traceparent(parent)
    assert VALID.fullmatch(child)
    assert child.split("-")[1] != TRACE
