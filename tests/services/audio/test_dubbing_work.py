"""Work for the queue: a dubbing is mixed once, however it is asked for and whatever fails, and goes when it is erased."""

import asyncio

import pytest

from libs.common.bus.base import BusUnavailable
from libs.common.contracts.audio import AnalysisReportCompleted, AnalysisRequested, DubbingRequested
from libs.common.errors import YouSyncError
from libs.common.storage.base import StorageUnavailable
from services.audio import dubbings
from services.audio.dubbing_errors import MixingCrashed, MixingTimedOut
from services.audio.mixer import UnusableVoice
from tests.services.audio.dubber import LATEST, FakeMixer, ask, dubbings_are, key_of, know_scene, record
from tests.services.audio.house import PATIENCE, House, Open, bearer


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows the scene."""
    await know_scene(house)
    return house


@pytest.fixture(autouse=True)
def mixer(monkeypatch: pytest.MonkeyPatch) -> FakeMixer:
    """What mixes."""
    return FakeMixer(monkeypatch)


async def test_asked_again_the_same_takes_are_the_same_dubbing(scene: House, mixer: FakeMixer) -> None:
    await record(scene, 7)
    first, second = await ask(scene), await ask(scene)
    assert key_of(first) == key_of(second)
    assert mixer.calls == 1
    await record(scene, 7)
    assert key_of(await ask(scene)) != key_of(first)
    assert mixer.calls == 2


async def test_who_asks_while_it_is_mixed_waits_for_the_same_one(scene: House, mixer: FakeMixer) -> None:
    await record(scene, 7)
    mixer.let.clear()
    asked = [asyncio.create_task(ask(scene)) for _ in range(5)]
    await mixer.began.wait()
    mixer.let.set()
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len({key_of(answer) for answer in answers}) == mixer.calls == 1


async def test_who_waits_is_told_and_does_not_have_to_look(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dubbings, "LOOK_SECONDS", 1000.0)
    await record(scene, 7)
    assert (await ask(scene)).status_code == 200


async def test_news_that_get_lost_are_found_by_looking(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object) -> None:
        raise BusUnavailable("frames may be lost")

    monkeypatch.setattr(scene.bus, "publish_frame", lost)
    monkeypatch.setattr(dubbings, "LOOK_SECONDS", 0.05)
    await record(scene, 7)
    assert (await ask(scene)).status_code == 200


async def test_who_cannot_wait_any_longer_is_told_to_ask_again_and_mixing_goes_on(open_house: Open, mixer: FakeMixer) -> None:
    async with open_house(dubbing_wait_seconds=0.05) as house:
        await know_scene(house)
        await record(house, 7)
        mixer.let.clear()
        answer = await ask(house)
        assert (answer.status_code, answer.json()["code"]) == (503, "dubbing_not_ready")
        assert answer.json()["detail"] == "더빙을 합성하고 있습니다. 잠시 후 다시 시도해 주세요."
        assert int(answer.headers["Retry-After"]) > 0
        mixer.let.set()
        async with asyncio.timeout(PATIENCE):
            while (await ask(house)).status_code != 200:
                await asyncio.sleep(0.01)
        assert mixer.calls == 1


async def test_a_recording_that_cannot_be_read_is_named_and_is_not_tried_again(scene: House, mixer: FakeMixer) -> None:
    mixer.failures = [UnusableVoice(1)]
    await record(scene, 7, 5)
    for _ in range(2):
        answer = await ask(scene)
        assert (answer.status_code, answer.json()["code"], answer.json()["script_id"]) == (409, "take_unusable", 5)
    assert answer.json()["detail"] == "녹음 파일 하나를 읽을 수 없습니다. 해당 대사를 다시 녹음해 주세요."
    assert mixer.calls == 1
    await record(scene, 5)
    assert (await ask(scene)).status_code == 200


async def test_what_the_machinery_could_not_do_is_tried_again_by_itself(scene: House, mixer: FakeMixer) -> None:
    mixer.failures = [MixingCrashed("died")]
    await record(scene, 7)
    assert (await ask(scene)).status_code == 200
    assert mixer.calls == 2


@pytest.mark.parametrize("error", [MixingCrashed("died"), MixingTimedOut("late"), StorageUnavailable("away")])
async def test_what_cannot_be_mixed_fails_and_is_tried_again_when_somebody_asks(
    open_house: Open, mixer: FakeMixer, error: YouSyncError
) -> None:
    async with open_house(mixing_attempts=2) as house:
        mixer.failures = [error, error]
        await know_scene(house)
        await record(house, 7)
        answer = await ask(house)
        assert (answer.status_code, answer.json()["code"]) == (503, "dubbing_failed")
        assert answer.json()["detail"] == "더빙을 합성하지 못했습니다. 잠시 후 다시 시도해 주세요."
        assert (await ask(house)).status_code == 200
        assert mixer.calls == 3
        assert await house.bus.dead_letters("audio") == []


async def test_work_that_got_lost_is_sent_again_when_somebody_asks(open_house: Open, mixer: FakeMixer) -> None:
    async with open_house(dubbing_lost_seconds=0.001, dubbing_wait_seconds=0.2) as house:
        await know_scene(house)
        await record(house, 7)
        # as often as this bus tries: then the work is a dead letter
        mixer.failures = [RuntimeError("a bug"), RuntimeError("a bug")]
        assert (await ask(house)).status_code == 503
        async with asyncio.timeout(PATIENCE):
            while not await house.bus.dead_letters("audio"):
                await asyncio.sleep(0.01)
            while (await ask(house)).status_code != 200:
                pass


async def test_who_has_too_many_under_way_waits_for_one_of_them(open_house: Open, mixer: FakeMixer) -> None:
    async with open_house(max_open_dubbings=1) as house:
        await know_scene(house)
        await record(house, 7)
        await record(house, 7, user_id=2)
        mixer.let.clear()
        first = asyncio.create_task(ask(house))
        await mixer.began.wait()
        await record(house, 5)
        refused = await ask(house)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_dubbings")
        other = asyncio.create_task(ask(house, 2))
        mixer.let.set()
        assert (await first).status_code == (await other).status_code == (await ask(house)).status_code == 200


async def test_work_that_got_lost_is_in_nobodys_way(open_house: Open, mixer: FakeMixer) -> None:
    async with open_house(max_open_dubbings=1, dubbing_lost_seconds=0.001, dubbing_wait_seconds=0.05) as house:
        await know_scene(house)
        mixer.let.clear()
        for script_id in (7, 5):
            await record(house, script_id)
            assert (await ask(house)).json()["code"] == "dubbing_not_ready"
        mixer.let.set()


async def test_only_the_newest_dubbings_are_kept(open_house: Open) -> None:
    async with open_house(dubbings_kept=2) as house:
        await know_scene(house)
        await record(house, 7, user_id=2)
        other = key_of(await ask(house, 2))
        keys = []
        for _ in range(4):
            await record(house, 7)
            keys.append(key_of(await ask(house)))
        assert {row.object_key for row in await house.rows("SELECT object_key FROM dubbings")} == {other, *keys[-2:]}
        await dubbings_are(house, other, *keys[-2:])


async def test_dubbings_are_erased_with_their_recordings(scene: House) -> None:
    await record(scene, 7)
    await ask(scene)
    work = await scene.work.until(AnalysisRequested)
    await scene.tell(AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result={}))
    assert (await scene.client.delete("/api/mypage/tokens/3/my-results", headers=bearer(1))).status_code == 204
    assert await scene.rows("SELECT 1 FROM dubbings") == []
    await dubbings_are(scene)
    assert (await scene.client.get(LATEST, headers=bearer(1))).status_code == 404


async def test_a_dubbing_that_is_erased_while_it_is_mixed_leaves_nothing(
    scene: House, mixer: FakeMixer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(scene, 7)
    mixer.let.clear()
    asked = asyncio.create_task(ask(scene))
    await mixer.began.wait()
    await scene.rows("DELETE FROM dubbings")
    mixer.let.set()
    monkeypatch.setattr(dubbings, "LOOK_SECONDS", 0.05)
    assert (await asked).json()["code"] == "no_takes"
    await dubbings_are(scene)


async def test_work_that_comes_twice_is_done_once(scene: House, mixer: FakeMixer) -> None:
    await record(scene, 7)
    key = key_of(await ask(scene))
    [row] = await scene.rows("SELECT id FROM dubbings")
    event = DubbingRequested(dubbing_id=str(row.id), user_id=1, token_id=3, object_key=key)
    await scene.tell(event)
    assert mixer.calls == 1
    await dubbings_are(scene, key)
