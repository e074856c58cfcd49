"""Section 2: auth_router."""

import pytest

from tests.contract.shapes import Shape, User, invalid, refused, shaped
from tests.contract.site import BEARERS, Site


class AccessToken(Shape):
    access_token: str
    token_type: str


def test_me(site: Site, form: str) -> None:
    me = shaped(User, site.user.get(f"/api/auth/me{form}"))
    assert (me.email, me.is_active) == (BEARERS.format("user"), True)
    assert shaped(User, site.other.get(f"/api/auth/me{form}")).id != me.id


def test_refresh_gives_a_new_token_and_the_old_one_stays_valid(site: Site, form: str) -> None:
    fresh = shaped(AccessToken, site.user.post(f"/api/auth/refresh{form}"))
    assert fresh.token_type == "bearer"
    assert fresh.access_token != site.tokens["user"]
    old, new = (
        site.anonymous.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"}).json()
        for token in (site.tokens["user"], fresh.access_token)
    )
    assert old == new


def test_logout(site: Site, form: str) -> None:
    with site.sign_in("leaving") as somebody:
        me = shaped(User, somebody.get("/api/auth/me"))
        answer = somebody.post(f"/api/auth/logout{form}")
    assert (answer.status_code, answer.json()) == (200, {"message": "성공적으로 로그아웃되었습니다", "user_id": me.id})


def test_sign_in_with_google_says_what_is_missing(site: Site, form: str) -> None:
    invalid(site.anonymous.post(f"/api/auth/google-login{form}", json={}), "body", "id_token")
    answer = site.anonymous.post(f"/api/auth/google-login{form}", json={"id_token": "a.b.c"})
    assert refused(answer, 503).startswith("로그인 처리 중 오류가 발생했습니다: ")


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        ("nobody", "토큰에서 사용자 정보를 찾을 수 없습니다"),
        ("stranger", "사용자를 찾을 수 없습니다"),
        ("word", "유효하지 않은 토큰입니다"),
    ],
)
def test_a_token_that_is_signed_and_proves_nobody(site: Site, token: str, detail: str, form: str) -> None:
    refused(site.anonymous.get(f"/api/auth/me{form}", headers={"Authorization": f"Bearer {site.tokens[token]}"}), 401, detail)
