"""Limits at the door: who pays for what, what is said about it, and who cannot get around."""

import pytest
from pydantic import ValidationError

from services.gateway.addresses import network_of
from services.gateway.costs import cost_of
from services.gateway.errors import TooManyRequests
from services.gateway.rates import PER_ADDRESS, PER_USER
from services.gateway.routes import ROUTES, Cost
from services.gateway.settings import GatewaySettings
from tests.services.gateway.conftest import JOB, Fake, FakeNotifier, NewGateway, connect, echo
from tests.services.gateway.test_callers import KEY, token

ORIGIN = "http://localhost:3000"
LIST, UPLOAD = "/api/tokens", "/api/scripts/1/upload-audio"
STREAM = f"/api/scripts/analysis-progress/{JOB}"


@pytest.fixture(autouse=True)
def _answering(fakes: dict[str, Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    """All services echo; `auth` has keys; no window ends while a test runs."""
    for fake in fakes.values():
        fake.app = echo
    fakes["auth"].app = None
    fakes["auth"].documents["/.well-known/jwks.json"] = {"keys": [KEY.as_dict(private=False)]}
    monkeypatch.setattr("services.gateway.counters.time", _Noon)
    monkeypatch.setattr("services.gateway.limits.time", _Noon)
    monkeypatch.setattr("limits.aio.strategies.time", _Noon)


class _Noon:
    """A clock that stands a quarter of a minute before a window's end."""

    @staticmethod
    def time() -> float:
        return 1_795_392_045.0


def bearer(user_id: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub=str(user_id))}"}


# What is said


async def test_every_answer_says_how_much_is_left(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 3})
    for remaining in ("2", "1", "0"):
        response = await gateway.get(LIST)
        said = {name: value for name, value in response.headers.items() if name.startswith("ratelimit")}
        assert response.status_code == 200
        assert said == {
            "ratelimit-limit": "3",
            "ratelimit-remaining": remaining,
            "ratelimit-reset": "15",
            "ratelimit-policy": "3;w=60",
        }


@pytest.mark.parametrize(
    ("language", "text"),
    [("ko", "요청이 너무 많습니다. 15초 뒤에 다시 시도해 주세요."), ("en", "too many requests, please try again in 15 s")],
)
async def test_who_asks_too_often_is_told_when_to_try_again(new_gateway: NewGateway, language: str, text: str) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 1})
    assert (await gateway.get(LIST)).status_code == 200
    response = await gateway.get(LIST, headers={"Origin": ORIGIN, "Accept-Language": language})
    assert (response.status_code, response.headers["retry-after"]) == (429, "15")
    problem = response.json()
    assert (problem["status"], problem["code"], problem["detail"]) == (429, TooManyRequests.code, text)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]) == ("1", "0")


async def test_a_page_of_another_origin_may_read_the_refusal_and_what_it_says(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 1})
    await gateway.get(LIST)
    response = await gateway.get(LIST, headers={"Origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN
    exposed = response.headers["access-control-expose-headers"].lower().split(", ")
    assert {"retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(exposed)
    assert {"Origin", "Accept-Language"} <= set(response.headers["vary"].split(", "))


async def test_the_nearer_of_two_limits_is_shown(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 10}, user_limits={Cost.READ: 3})
    assert (await gateway.get(LIST)).headers["ratelimit-limit"] == "10"
    assert (await gateway.get(LIST, headers=bearer(1))).headers["ratelimit-limit"] == "3"


async def test_a_refused_upload_is_answered_before_it_is_sent(new_gateway: NewGateway, audio: Fake) -> None:
    gateway = await new_gateway(address_limits={Cost.UPLOAD: 1})
    assert (await gateway.post(UPLOAD, content=b"x")).status_code == 200
    reader, writer = await connect(gateway)
    writer.write(f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n".encode() + b"x" * 100_000)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429")
    assert b"connection: close" in head
    writer.write(b"x" * 100_000)  # who sends on is not reset at once
    await writer.drain()
    writer.close()
    assert len(audio.asked) == 1


async def test_who_floods_us_does_not_flood_the_log(new_gateway: NewGateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 1}, user_limits={Cost.WRITE: 1})
    for _ in range(5):
        await gateway.get(LIST)
        await gateway.post(LIST, headers=bearer(7))
    told = [record for record in caplog.records if record.name == "services.gateway.limits"]
    assert [(vars(record)["by"], vars(record)["whose"]) for record in told] == [("address", "127.0.0.0/24"), ("user", 7)]


# Who pays


async def test_fault_43_uploads_of_nobody_have_a_limit_too(new_gateway: NewGateway, audio: Fake) -> None:
    gateway = await new_gateway(address_limits={Cost.UPLOAD: 3})
    statuses = [(await gateway.post(UPLOAD, content=b"x")).status_code for _ in range(6)]
    assert statuses == [200, 200, 200, 429, 429, 429]
    assert len(audio.asked) == 3


async def test_costs_are_counted_apart(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 1, Cost.WRITE: 1})
    assert (await gateway.get(LIST)).status_code == 200
    assert (await gateway.get(LIST)).status_code == 429
    assert (await gateway.post(LIST)).status_code == 200
    assert (await gateway.get("/api/actors/search/x")).status_code == 200


async def test_users_behind_one_address_do_not_pay_for_each_other(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(user_limits={Cost.READ: 1})
    assert [(await gateway.get(LIST, headers=bearer(1))).status_code for _ in range(2)] == [200, 429]
    assert (await gateway.get(LIST, headers=bearer(2))).status_code == 200


async def test_a_user_stays_one_under_another_token(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(user_limits={Cost.READ: 1})
    assert (await gateway.get(LIST, headers=bearer(1))).status_code == 200
    again = {"Authorization": f"Bearer {token(sub='1', jti='another', sid='another')}"}
    assert (await gateway.get(LIST, headers=again)).status_code == 429


async def test_an_invented_token_is_no_user_of_its_own(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 2}, user_limits={Cost.READ: 1})
    headers = [{"Authorization": f"Bearer {token(sub=str(number))[:-4]}AAAA"} for number in (1, 2, 3)]
    responses = [await gateway.get(LIST, headers=each) for each in headers]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert {response.headers["ratelimit-limit"] for response in responses} == {"2"}


async def test_a_header_of_the_client_does_not_change_where_it_comes_from(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.READ: 1})
    assert (await gateway.get(LIST)).status_code == 200
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP"):
        assert (await gateway.get(LIST, headers={name: "203.0.113.9"})).status_code == 429, name


async def test_behind_a_known_proxy_each_client_is_one(new_proxied: NewGateway) -> None:
    gateway = await new_proxied(address_limits={Cost.READ: 1})

    async def status(forwarded: str) -> int:
        return (await gateway.get(LIST, headers={"X-Forwarded-For": forwarded})).status_code

    assert [await status("203.0.113.9"), await status("203.0.113.9")] == [200, 429]
    assert await status("203.0.113.10") == 200
    # what the client wrote itself stands to the left of what the proxy adds
    assert await status("198.51.100.1, 203.0.113.9") == 429
    assert [await status("::ffff:203.0.113.9"), await status("2001:db8::1"), await status("2001:db8::2")] == [429, 200, 429]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", "-"),
        ("", "-"),
        (None, "-"),
    ],
)
def test_an_address_is_counted_with_those_of_its_owner(host: str | None, network: str) -> None:
    assert network_of(host) == network


# What is limited


@pytest.mark.parametrize(
    ("method", "path", "cost"),
    [
        ("GET", "/", Cost.READ),
        ("GET", "/docs", Cost.READ),
        ("GET", "/docs/assets/swagger-ui.css", Cost.READ),
        ("GET", "/api/mypage/overview", Cost.READ),
        ("GET", "/api/tokens/1", Cost.READ),
        ("HEAD", "/api/tokens/1/", Cost.READ),
        ("OPTIONS", "/api/tokens/1", Cost.READ),
        ("POST", "/api/tokens/1/view", Cost.WRITE),
        ("DELETE", "/api/tokens/1", Cost.WRITE),
        ("TRACE", "/api/tokens/1", Cost.WRITE),
        ("GET", "/api/actors", Cost.READ),
        ("GET", "/api/actors/tom", Cost.SEARCH),
        ("GET", "/api/actors/search/tom", Cost.SEARCH),
        ("POST", "/api/urls/check", Cost.READ),
        ("POST", UPLOAD, Cost.UPLOAD),
        ("POST", "/api/tokens/batch-upload/", Cost.UPLOAD),
        ("POST", "/api/synthesize/1", Cost.UPLOAD),
        ("POST", "/api/auth/google-login", Cost.SIGN_IN),
        ("GET", "/api/auth/google/start", Cost.SIGN_IN),
        ("POST", "/api/auth/google/token", Cost.SIGN_IN),
        ("POST", "/api/auth/refresh/", Cost.SIGN_IN),
        ("POST", "/api/auth/token", Cost.SIGN_IN),
        ("GET", "/api/auth/me", Cost.READ),
        ("POST", "/api/auth/logout", Cost.WRITE),
        ("GET", STREAM, Cost.STREAM),
        ("GET", "/api/youtube/process-progress/x/", Cost.STREAM),
        ("POST", "/api/scripts/webhook/analysis-complete", Cost.REPORT),
        ("POST", "/api/youtube/webhook/process-complete/", Cost.REPORT),
        ("GET", "/nothing", Cost.UNKNOWN),
        ("GET", "/internal/jobs/1", Cost.UNKNOWN),
        ("GET", "/healthy", Cost.UNKNOWN),
        ("GET", "/health", None),
        ("GET", "/health/ready", None),
    ],
)
def test_a_request_costs_what_its_route_says(method: str, path: str, cost: Cost | None) -> None:
    assert cost_of(method, path) is cost


def test_what_is_in_no_table_has_the_least() -> None:
    assert PER_ADDRESS[Cost.UNKNOWN] == min(PER_ADDRESS.values())
    assert set(PER_ADDRESS) == set(Cost)
    assert all(PER_USER[cost] < PER_ADDRESS[cost] for cost in PER_USER)
    assert {cost for route in ROUTES for cost in route.costs} <= set(Cost) - {Cost.UNKNOWN, Cost.STREAM}


async def test_who_looks_for_doors_is_stopped_soon(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits={Cost.UNKNOWN: 2})
    assert [(await gateway.get(path)).status_code for path in ("/wp-login.php", "/.env", "/.git/config")] == [404, 404, 429]
    assert (await gateway.get(LIST)).status_code == 200


async def test_probes_and_preflights_are_not_limited(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(address_limits=dict.fromkeys(Cost, 1))
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    for _ in range(3):
        assert (await gateway.get("/health/live")).status_code == 200
        assert "ratelimit-limit" not in (await gateway.get("/health")).headers
        assert (await gateway.options(LIST, headers=preflight)).status_code == 200


async def test_opening_streams_is_limited(new_gateway: NewGateway, notifier: FakeNotifier, fakes: dict[str, Fake]) -> None:
    fakes["notifier"].app = fakes["audio"].app = None
    await notifier.tell(final=True)
    gateway = await new_gateway(address_limits={Cost.STREAM: 2})
    responses = [await gateway.get(STREAM, headers={"Origin": ORIGIN}) for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["ratelimit-remaining"] == "1"
    assert responses[2].headers["access-control-allow-origin"] == ORIGIN


# Settings


def test_limits_are_set_by_name_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ADDRESS_LIMITS", "read=7, sign-in=8")
    monkeypatch.setenv("GATEWAY_USER_LIMITS", "upload=9")
    settings = GatewaySettings()
    assert settings.per_address == {**PER_ADDRESS, Cost.READ: 7, Cost.SIGN_IN: 8}
    assert settings.per_user == {**PER_USER, Cost.UPLOAD: 9}


@pytest.mark.parametrize("value", ["read", "read=", "read=0", "read=-1", "reed=5", "read=1.5", "=", "read=5=6"])
def test_a_limit_that_is_none_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GATEWAY_ADDRESS_LIMITS", value)
    with pytest.raises(ValidationError):
        GatewaySettings()


@pytest.mark.parametrize(
    "value", ["redis", "memcached://x:1", "http://x:1", "", "redis://:secret@host", "redis://:6379", "redis://host:port"]
)
def test_a_store_that_nobody_knows_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GATEWAY_LIMITS_URL", value)
    with pytest.raises(ValidationError) as refused:
        GatewaySettings()
    assert "secret" not in str(refused.value)


async def test_a_factor_multiplies_all(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(limits_factor=2.5, user_limits={Cost.READ: 2})
    assert (await gateway.get(LIST)).headers["ratelimit-limit"] == str(round(PER_ADDRESS[Cost.READ] * 2.5))
    assert (await gateway.get(LIST, headers=bearer(1))).headers["ratelimit-limit"] == "5"
