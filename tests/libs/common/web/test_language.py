"""Which language a header asks for."""

import pytest

from libs.common.web.language import preferred


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "ko"),
        ("en", "en"),
        ("EN-us", "en"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("ko;q=0.3, en ; q=0.4", "en"),
        ("de, fr;q=0.9, en;q=0.1", "en"),
        ("en;q=0", "ko"),
        ("de", "ko"),
        ("*", "ko"),
        ("english", "ko"),
        ("en;q=2, ko;q=0.1", "ko"),
        (";;,,=,q=1", "ko"),
        ("en," * 2000, "en"),
    ],
)
def test_the_language_with_the_greatest_weight_counts_and_korean_otherwise(header: str, language: str) -> None:
    assert preferred(header) == language
