"""The audit log of a platform: what an administrator does in one service is read out of another."""

import json

from tests.e2e.flow import until
from tests.e2e.platforms import Embedded, Fleet
from tests.e2e.test_mypage import signed_in


async def test_what_an_administrator_does_anywhere_is_in_the_log(platform: Embedded | Fleet) -> None:
    async with signed_in(platform.url, email="acting@example.org", admin=True) as admin:
        actor = (await admin.post("/api/actors", json={"name": f"Somebody of {platform.port}"})).json()

        async def arrived() -> bool:
            acts = (await admin.get("/api/auth/me/activity")).json()
            return [act["act"] for act in acts[:2]] == ["actor_created", "signed_in"]

        await until(arrived)
    created = map(json.loads, platform.yousync("acts", "--act", "actor_created", "--json").splitlines())
    [mine] = [act for act in created if act["thing"] == f"actor:{actor['id']}"]  # others use this platform too
    assert (mine["service"], mine["network"]) == ("catalog", "127.0.0.0/24")
