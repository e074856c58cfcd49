import time
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio

from libs.common.storage.disk import DiskStorage
from libs.common.storage.signing import UrlSigner
from tests.libs.common.storage.conformance import HOUR, noise, stream

DATA = noise(200_000)


@pytest_asyncio.fixture
async def url(disk: DiskStorage) -> str:
    await disk.put("takes/1.wav", stream(DATA), media_type="audio/wav")
    return await disk.signed_url("takes/1.wav", expires_in=HOUR)


def link(disk: DiskStorage, url: str, *, key: str = "takes/1.wav", expires: str, signature: str | None = None) -> str:
    """The link of `url` with another expiry, properly signed unless a signature is given."""
    base = url.split("/objects/")[0]
    query = {"expires": expires, "signature": disk.signer.signature(key, expires) if signature is None else signature}
    return f"{base}/objects/{key}?{urlencode(query)}"


async def test_a_browser_may_play_it_and_never_run_it(url: str, http: httpx.AsyncClient) -> None:
    headers = (await http.get(url)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox"
    assert headers["content-disposition"] == "inline"
    assert headers["accept-ranges"] == "bytes"


async def test_a_copy_in_a_cache_lives_no_longer_than_the_link(url: str, http: httpx.AsyncClient) -> None:
    private, max_age = (await http.get(url)).headers["cache-control"].split(", ")
    assert private == "private"
    assert 3500 < int(max_age.removeprefix("max-age=")) <= 3600


async def test_head_tells_the_same_without_the_bytes(url: str, http: httpx.AsyncClient) -> None:
    head, full = await http.head(url), await http.get(url)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers[name] == full.headers[name]


async def test_the_last_bytes_can_be_asked_for(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.get(url, headers={"Range": "bytes=-100"})
    assert (answer.status_code, answer.content) == (206, DATA[-100:])


async def test_a_range_behind_the_end_cannot_be_satisfied(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.get(url, headers={"Range": "bytes=200000-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */200000"


async def test_a_range_of_an_object_that_was_replaced_gives_the_whole_new_one(
    disk: DiskStorage, url: str, http: httpx.AsyncClient
) -> None:
    etag = (await http.get(url)).headers["etag"]
    part = {"Range": "bytes=10-19", "If-Range": etag}
    assert (await http.get(url, headers=part)).content == DATA[10:20]
    await disk.put("takes/1.wav", stream(b"a new take"), media_type="audio/wav")
    answer = await http.get(url, headers=part)
    assert (answer.status_code, answer.content) == (200, b"a new take")


@pytest.mark.parametrize(
    "query",
    ["", "?expires=9999999999", "?signature=00", "?expires=&signature=", "?expires=soon&signature=%ED%95%9C&x=1"],
)
async def test_without_a_signature_nothing_is_shown(url: str, http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(url.split("?")[0] + query)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "bad_signature"


async def test_a_changed_signature_is_refused(url: str, http: httpx.AsyncClient) -> None:
    changed = url[:-1] + ("0" if url[-1] != "0" else "1")
    assert (await http.get(changed)).status_code == 403
    assert (await http.head(changed)).status_code == 403


async def test_a_link_cannot_be_prolonged(disk: DiskStorage, url: str, http: httpx.AsyncClient) -> None:
    signature = url.rpartition("signature=")[2]
    later = str(int(time.time()) + 86400)
    assert (await http.get(link(disk, url, expires=later, signature=signature))).json()["code"] == "bad_signature"


@pytest.mark.parametrize("expires", ["-1", "1e12", "٣", "9" * 5000, " 9999999999"])
async def test_an_expiry_that_is_no_time_is_refused_even_when_it_is_signed(
    disk: DiskStorage, url: str, http: httpx.AsyncClient, expires: str
) -> None:
    answer = await http.get(link(disk, url, expires=expires))
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")


async def test_an_expired_link_says_so(disk: DiskStorage, url: str, http: httpx.AsyncClient) -> None:
    answer = await http.get(link(disk, url, expires=str(int(time.time()) - 1)))
    assert (answer.status_code, answer.json()["code"]) == (403, "link_expired")


async def test_a_link_opens_no_other_object(disk: DiskStorage, url: str, http: httpx.AsyncClient) -> None:
    await disk.put("takes/2.wav", stream(b"private"), media_type="audio/wav")
    answer = await http.get(url.replace("/takes/1.wav", "/takes/2.wav"))
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")


async def test_a_link_of_another_signing_key_is_refused(url: str, http: httpx.AsyncClient) -> None:
    stranger = UrlSigner(b"another signing key of some length", url.split("/objects/")[0])
    assert (await http.get(stranger.url("takes/1.wav", expires_in=HOUR))).status_code == 403


@pytest.mark.parametrize("path", ["/objects/", "/objects/..%2F..%2Fetc%2Fpasswd", "/objects//etc/passwd", "/objects/a%00b"])
async def test_a_path_out_of_the_folder_is_refused_like_any_unsigned_one(url: str, http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(url.split("/objects/")[0] + path, params={"expires": "9999999999", "signature": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")


def test_a_signing_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        UrlSigner(b"short", "http://127.0.0.1")
