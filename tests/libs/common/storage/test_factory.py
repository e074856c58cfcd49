from pathlib import Path

import pytest
from pydantic import SecretStr

from libs.common.storage.base import InvalidStorageUrl
from libs.common.storage.disk import DiskStorage
from libs.common.storage.factory import open_storage
from libs.common.storage.s3 import S3Storage

KEY = SecretStr("a signing key only for these tests")


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "a b 가").as_uri(), signing_key=KEY, public_url="http://127.0.0.1:8000")
    assert isinstance(storage, DiskStorage)
    assert storage.uri("k").startswith((tmp_path / "a b 가").as_uri())


async def test_the_signing_key_may_be_secret_or_bytes(tmp_path: Path) -> None:
    secret = open_storage(tmp_path.as_uri(), signing_key=KEY, public_url="http://127.0.0.1")
    plain = open_storage(tmp_path.as_uri(), signing_key=KEY.get_secret_value().encode(), public_url="http://127.0.0.1")
    assert isinstance(secret, DiskStorage)
    assert isinstance(plain, DiskStorage)
    assert secret.signer.signature("k", "1") == plain.signer.signature("k", "1")


def test_an_s3_url_is_a_bucket() -> None:
    storage = open_storage("s3://takes?region=ap-northeast-2", signing_key=KEY, public_url="http://127.0.0.1")
    assert isinstance(storage, S3Storage)
    assert storage.uri("a/b.wav") == "s3://takes/a/b.wav"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no scheme"),
        ("/var/lib/yousync", "no scheme"),
        ("gs://bucket", "another scheme"),
        ("file://relative/folder", "three slashes"),
        ("file:relative", "absolute path"),
        ("file:///folder?mode=ro", "nothing else"),
        ("s3://", "one bucket"),
        ("s3://[bucket", "no URL"),
        ("s3://bucket:9000", "port"),
        ("s3://Bucket", "one bucket"),
        ("s3://bucket/folder", "one bucket"),
        ("s3://key:hush@bucket", "credentials"),
        ("s3://bucket?endpoint=http://127.0.0.1", "no parameter endpoint"),
        ("s3://bucket?create_bucket=yes", "true or false"),
        ("s3://bucket?endpoint_url=127.0.0.1:9000", "endpoint_url begins with"),
        ("s3://bucket?public_endpoint_url=", "public_endpoint_url begins with"),
    ],
)
def test_a_url_that_names_no_store_is_refused_with_the_accepted_forms(url: str, reason: str) -> None:
    with pytest.raises(InvalidStorageUrl, match=reason) as caught:
        open_storage(url, signing_key=KEY, public_url="http://127.0.0.1")
    assert "file:///absolute/folder" in caught.value.detail
    assert "s3://BUCKET" in caught.value.detail
    assert "hush" not in caught.value.detail
