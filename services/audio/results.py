"""What is read of a result. It may be anything: other people's servers posted it, and is kept as it came."""

from typing import Any


def overall_score(result: Any) -> float | None:
    """`result.overall_score` of what a server posted, 0..1; None when there is no such number."""
    inner = result.get("result") if isinstance(result, dict) else None
    score = inner.get("overall_score") if isinstance(inner, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score) if 0 <= score <= 1 else None  # NaN is neither
