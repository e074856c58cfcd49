"""What services show each other. Whom an endpoint lets in by it: test_guard.py."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from libs.common.web import service_tokens
from libs.common.web.service_tokens import (
    HEADER,
    LIFETIME,
    TYPE,
    CallerRefused,
    Identity,
    KeyUnusable,
    ServiceVerifier,
    development_key,
    new_key,
    public_key,
    read_key,
)

AUDIO, GATEWAY = new_key(), new_key()
KEYS = (("audio", public_key(AUDIO)), ("gateway", public_key(GATEWAY)))


def verifier(audience: str = "catalog") -> ServiceVerifier:
    return ServiceVerifier(KEYS, audience=audience, leeway=5)


def token(audience: str = "catalog", key: str = AUDIO, name: str = "audio") -> str:
    return Identity(name, key).header(audience)[HEADER]


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signature(text: bytes, key: OKPKey | None = None) -> bytes:
    private: Any = (key or read_key(AUDIO, private=True)).get_op_key("sign")
    return bytes(private.sign(text))


def signed(sign: Callable[[bytes], bytes] = signature, header: dict[str, Any] | None = None, **changed: Any) -> str:
    """A token like those that are accepted, in one point another one; None takes something away."""
    now = int(time.time())
    claims = {"iss": "audio", "aud": "catalog", "iat": now, "exp": now + 60, **changed}
    head = {"alg": "Ed25519", "typ": TYPE, "kid": read_key(AUDIO, private=True).thumbprint(), **(header or {})}
    parts = [{name: value for name, value in each.items() if value is not None} for each in (head, claims)]
    text = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return f"{text}.{encoded(sign(text.encode()))}"


STRANGER = OKPKey.generate_key("Ed25519")
# As the key of an HMAC: its 32 bytes, and what stands in the settings.
PUBLIC_BYTES = base64.urlsafe_b64decode(str(read_key(public_key(AUDIO), private=False).as_dict()["x"]) + "=")


def hs256(key: bytes) -> str:
    return signed(lambda text: hmac.digest(key, text, "sha256"), {"alg": "HS256"})


def test_a_service_proves_who_it_is_to_the_one_that_it_asks() -> None:
    assert verifier().caller(token()) == "audio"
    assert verifier().caller(token(key=GATEWAY, name="gateway")) == "gateway"
    assert verifier().caller(signed()) == "audio"


ATTACKS: dict[str, Callable[[], str]] = {  # made when they are tried: they would expire meanwhile
    "nothing": lambda: "",
    "garbage": lambda: "x.y.z",
    "no text of ours": lambda: "열쇠",
    "long": lambda: "x" * 100_000,
    "deep": lambda: base64.urlsafe_b64encode(b"[" * 600).decode() + ".e30.x",
    "alg none": lambda: signed(lambda _: b"", {"alg": "none"}),
    "HS256 with the public key": lambda: hs256(PUBLIC_BYTES),
    "HS256 with the public key's text": lambda: hs256(public_key(AUDIO).encode()),
    "a stranger's key under a known id": lambda: signed(lambda text: signature(text, STRANGER)),
    "an unknown caller": lambda: token(key=new_key(), name="audio"),
    "no key id": lambda: signed(header={"kid": None}),
    "a key id that is no text": lambda: signed(header={"kid": ["x"]}),
    "a key that the token brings itself": lambda: signed(
        lambda text: signature(text, STRANGER), {"jwk": STRANGER.as_dict(private=False)}
    ),
    "another service's name": lambda: token(key=AUDIO, name="gateway"),
    "for another service": lambda: token(audience="auth"),
    "for several services": lambda: signed(aud=["catalog", "auth"]),
    "for nobody": lambda: signed(aud=None),
    "expired": lambda: signed(iat=int(time.time()) - 120, exp=int(time.time()) - 60),
    "without end": lambda: signed(exp=None),
    "valid for a day": lambda: signed(exp=int(time.time()) + 86_400),
    "from tomorrow": lambda: signed(iat=int(time.time()) + 86_400, exp=int(time.time()) + 86_430),
    "an end that is no number": lambda: signed(exp="soon"),
    "an end that never comes": lambda: signed(exp=float("inf")),
    "of another kind": lambda: signed(header={"typ": "JWT"}),
    "an access token's claims": lambda: signed(iss="yousync", aud="yousync", sub="1", admin=True),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_proves_nothing_is_refused(attack: str) -> None:
    of_catalog, token = verifier(), ATTACKS[attack]()
    for _ in range(2):
        with pytest.raises(CallerRefused):
            of_catalog.caller(token)


def test_a_token_of_which_one_byte_is_another_is_refused_also_after_it_was_accepted() -> None:
    of_catalog, good = verifier(), token()
    assert of_catalog.caller(good) == "audio"
    for place in range(0, len(good), 7):
        other = "A" if good[place] != "A" else "B"
        with pytest.raises(CallerRefused):
            of_catalog.caller(good[:place] + other + good[place + 1 :])


def test_a_token_that_was_accepted_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    of_catalog, good = verifier(), token()
    assert of_catalog.caller(good) == "audio"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME + 4)
    assert of_catalog.caller(good) == "audio"  # clocks may differ by five seconds
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME + 7)
    with pytest.raises(CallerRefused, match="expired"):
        of_catalog.caller(good)


def test_a_token_is_made_once_for_each_audience_and_again_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = Identity("audio", AUDIO)
    first = audio.header("catalog")
    assert audio.header("catalog") == first != audio.header("auth")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME - 14)
    assert audio.header("catalog") != first
    monkeypatch.setattr(time, "time", lambda: now - 3600)  # a clock that was set right
    assert verifier().caller(audio.header("catalog")[HEADER]) == "audio"


def test_a_service_that_changes_its_key_is_known_by_both() -> None:
    new = new_key()
    of_catalog = ServiceVerifier((*KEYS, ("audio", public_key(new))), audience="catalog", leeway=5)
    assert [of_catalog.caller(token(key=key)) for key in (AUDIO, new)] == ["audio", "audio"]


def test_verified_tokens_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_tokens, "REMEMBERED", 3)
    of_catalog = verifier()
    for number in range(10):
        assert of_catalog.caller(signed(jti=str(number))) == "audio"
        assert len(of_catalog._verified) <= 3


@pytest.mark.parametrize(
    "body",
    ["", "x", "c2VjcmV0", public_key(AUDIO), "-----", AUDIO[:-4]],
    ids=["none", "letter", "word", "public", "dashes", "shortened"],
)
def test_what_is_no_private_key_is_refused_and_not_repeated(body: str) -> None:
    with pytest.raises(KeyUnusable) as refused:
        read_key(body, private=True)
    assert str(refused.value) == "is no Ed25519 private key in base64"


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    with pytest.raises(KeyUnusable):
        read_key(AUDIO, private=False)


def test_the_keys_of_development_are_of_one_service_each() -> None:
    assert len({public_key(development_key(name)) for name in ("audio", "catalog", "gateway")}) == 3
