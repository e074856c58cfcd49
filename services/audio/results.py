"""What is read of a result. It may be anything: other people's servers posted it, and is kept as it came."""

from typing import Any

MAX_ID = 2**31 - 1
MAX_TOKENS = 1000  # more scenes than any film has of one actor


def token_ids(result: Any) -> tuple[int, ...] | None:
    """The scenes in `token_ids` of what a preprocessor made of a film; None when that is no list of ids."""
    ids = result.get("token_ids") if isinstance(result, dict) else None
    if not isinstance(ids, list) or len(ids) > MAX_TOKENS or not all(map(_is_id, ids)):
        return None
    return tuple(dict.fromkeys(ids))


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


def overall_score(result: Any) -> float | None:
    """`result.overall_score` of what a server posted, 0..1; None when there is no such number."""
    inner = result.get("result") if isinstance(result, dict) else None
    score = inner.get("overall_score") if isinstance(inner, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score) if 0 <= score <= 1 else None  # NaN is neither
