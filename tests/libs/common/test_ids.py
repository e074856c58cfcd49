from uuid import RFC_4122, UUID

import pytest

from libs.common.ids import new_id


def test_an_id_is_a_version_7_uuid_and_there_are_no_two_of_it() -> None:
    made = [UUID(new_id()) for _ in range(10_000)]
    assert len(set(made)) == 10_000
    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}


def test_ids_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for milliseconds in (1, 2, 1_700_000_000_000, 1_700_000_000_001):
        monkeypatch.setattr("time.time_ns", lambda at=milliseconds: at * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)
    assert UUID(made[-1]).int >> 80 == 1_700_000_000_001
