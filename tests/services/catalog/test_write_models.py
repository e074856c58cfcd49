"""Whatever an administrator's program sends: it is written as it was said, or refused by the name of the field."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.services.catalog.conftest import bearer
from tests.services.catalog.test_editing import LINE, SCENE, WORDS

HEADERS = {**bearer(admin=True), "Content-Type": "application/json"}

SCENE_MORE = {"category": "액션", "thumbnail_url": None, "s3_pitch_url": "a/b.json", "view_count": 3}
FIELDS = {*SCENE, *SCENE_MORE, *LINE, "translation", "words"}

# JSON as Python's parser takes it, which knows NaN, Infinity and halves of UTF-16 pairs.
ANY_TEXT = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    ["\x00", "\ud800", "　", "x" * 6000, "https://a.b/c"]
)
ANY_NUMBER = st.integers() | st.floats() | st.sampled_from([0, 10, 18.5, 19.25, 21.0, 2**31, 2**63, 10**400])
ANYTHING = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)


def bodies(valid: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Valid fields, some of them missing or replaced."""
    fields = {name: st.just(value) | st.just(value) | ANYTHING for name, value in (valid | optional).items()}
    return st.fixed_dictionaries({}, optional=fields) | st.tuples(
        st.just(valid), st.fixed_dictionaries({}, optional=fields)
    ).map(lambda parts: {**parts[0], **parts[1]})


ANY_WORDS = st.lists(bodies(WORDS[0], {}) | st.sampled_from(WORDS), max_size=4)
SCENES = bodies(SCENE, SCENE_MORE)
LINES = st.tuples(bodies(LINE, {"translation": "번역"}), st.none() | ANY_WORDS | ANYTHING).map(
    lambda parts: parts[0] if parts[1] is None else {**parts[0], "words": parts[1]}
)


@pytest.mark.usefixtures("catalogue")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=SCENES, line=LINES)
@example(scene={**SCENE, "token_name": "\ud800"}, line={**LINE, "words": [{**WORDS[0], "end_time": float("nan")}]})
@example(scene={**SCENE, "start_time": 5e-324, "category": "　"}, line={**LINE, "words": [WORDS[0], WORDS[0]]})
async def test_it_is_written_as_it_was_said_or_refused_by_name(
    client: httpx.AsyncClient, scene: dict[str, Any], line: dict[str, Any]
) -> None:
    for method, path, body in (
        ("POST", "/api/tokens", scene),
        ("PUT", "/api/tokens/3", scene),
        ("POST", "/api/scripts", line),
        ("PUT", "/api/scripts/1", line),
    ):
        answer = await client.request(method, path, content=json.dumps(body), headers=HEADERS)
        if answer.status_code == 200:
            written = answer.json()
            assert (await client.get(f"/api/{path.split('/')[2]}/{written['id']}")).status_code == 200
            for name, value in body.items():
                if name in written and name not in ("view_count", "words", "id"):
                    assert written[name] == value
        elif answer.status_code == 404:
            assert answer.json()["detail"] == "Token not found"
        else:
            assert answer.status_code == 422, answer.text
            for error in answer.json()["detail"]:
                assert error["loc"][0] == "body"
                assert error["loc"][1] in FIELDS
