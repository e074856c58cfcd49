"""What job owners ask of workers."""

from typing import TypeAlias

from libs.common.contracts.audio import AnalysisRequested, PreprocessRequested, Priority

Order: TypeAlias = AnalysisRequested | PreprocessRequested


def priority_of(order: Order) -> Priority:
    """Which queue it came from."""
    return order.priority if isinstance(order, AnalysisRequested) else Priority.FILM
