import httpx
import pytest

from libs.common.bus.memory import MemoryBus
from libs.common.web.service_tokens import HEADER
from tests.callers import as_service
from tests.services.notifier.test_service import JOB, completed, message, started

CHANNEL = f"/internal/channels/job:{JOB}/frames"


async def test_history_begins_after_the_frame_that_was_seen(client: httpx.AsyncClient, bus: MemoryBus) -> None:
    for event in (started(1), completed(2)):
        await bus.publish(message(event))
    whole = (await client.get(CHANNEL)).json()
    assert [frame["sequence"] for frame in whole["frames"]] == [1, 2]
    assert (whole["channel"], whole["last_sequence"], whole["final"]) == (f"job:{JOB}", 2, True)
    assert list(whole["frames"][0]["data"]) == ["job_id", "status", "progress", "message", "result"]
    rest = (await client.get(CHANNEL, params={"after": 1})).json()
    assert [frame["sequence"] for frame in rest["frames"]] == [2]
    nothing_new = (await client.get(CHANNEL, params={"after": 2})).json()
    assert (nothing_new["frames"], nothing_new["last_sequence"], nothing_new["final"]) == ([], 2, True)


async def test_an_unknown_channel_is_at_sequence_zero(client: httpx.AsyncClient) -> None:
    assert (await client.get(CHANNEL)).json() == {
        "channel": f"job:{JOB}",
        "last_sequence": 0,
        "final": False,
        "frames": [],
    }


async def test_only_the_gateway_may_ask(client: httpx.AsyncClient) -> None:
    others = [as_service("audio", "notifier")[HEADER], as_service("gateway", "audio")[HEADER]]
    for token in ("", "x", "열쇠", *others):
        assert (await client.get(CHANNEL, headers={HEADER.encode(): token.encode()})).status_code == 403, token


@pytest.mark.parametrize(
    ("channel", "after"),
    [("job:%00", "0"), ("user:1", "0"), (f"job:{JOB}", "-1"), (f"job:{JOB}", str(2**31)), (f"job:{JOB}", "x")],
)
async def test_a_channel_or_sequence_that_cannot_exist_is_refused(client: httpx.AsyncClient, channel: str, after: str) -> None:
    assert (await client.get(f"/internal/channels/{channel}/frames?after={after}")).status_code == 422


async def test_it_is_ready_when_database_and_bus_answer(client: httpx.AsyncClient, bus: MemoryBus) -> None:
    assert (await client.get("/health/ready")).json()["checks"] == {"database": "ok", "bus": "ok"}
    await bus.close()
    assert (await client.get("/health/ready")).status_code == 503
