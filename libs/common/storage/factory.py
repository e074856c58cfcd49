"""From a configured address to a store."""

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from libs.common.storage.base import InvalidStorageUrl, Storage
from libs.common.storage.disk import DiskStorage
from libs.common.storage.s3 import S3Storage

ACCEPTED = (
    "file:///absolute/folder, or s3://BUCKET with the optional parameters "
    "endpoint_url, public_endpoint_url, region and create_bucket=true (values percent-encoded)"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_S3_PARAMETERS = {"endpoint_url", "public_endpoint_url", "region", "create_bucket"}


def open_storage(url: str, *, signing_key: bytes | SecretStr, public_url: str) -> Storage:
    """The store that `url` names, not started yet; raises `InvalidStorageUrl`.

    `file:///absolute/folder` keeps objects on the local disk; their links begin with `public_url` and are signed with
    `signing_key`. `s3://BUCKET?endpoint_url=http%3A%2F%2F127.0.0.1%3A9000&region=us-east-1` uses S3, or a server with
    its API; the links are S3's own and begin with `public_endpoint_url` where clients reach the server by another name.
    Credentials come from where every AWS program takes them (environment, profile, instance role), never from the URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # unbalanced brackets
        raise _refused("it is no URL") from None
    if parts.scheme == "file":
        return _disk(parts, signing_key, public_url)
    if parts.scheme == "s3":
        return _s3(parts)
    raise _refused("it has another scheme" if parts.scheme else "it has no scheme")


def _disk(parts: SplitResult, signing_key: bytes | SecretStr, public_url: str) -> DiskStorage:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise _refused("a file URL has three slashes, an absolute path and nothing else")
    key = signing_key.get_secret_value().encode() if isinstance(signing_key, SecretStr) else signing_key
    return DiskStorage(Path(unquote(parts.path)), signing_key=key, public_url=public_url)


def _s3(parts: SplitResult) -> S3Storage:
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    if _BUCKET.fullmatch(parts.netloc) is None or parts.path.strip("/") or parts.fragment:
        raise _refused("an S3 URL names one bucket (3 to 63 of a-z 0-9 . -) and holds no folder, port or credentials")
    if unknown := sorted(parameters.keys() - _S3_PARAMETERS):
        raise _refused(f"there is no parameter {', '.join(unknown)}")
    if (create := parameters.get("create_bucket", "false")) not in ("true", "false"):
        raise _refused("create_bucket is true or false")
    for name in ("endpoint_url", "public_endpoint_url"):
        endpoint = parameters.get(name)
        if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
            raise _refused(f"{name} begins with http:// or https://")
    return S3Storage(
        parts.netloc,
        endpoint_url=parameters.get("endpoint_url"),
        public_endpoint_url=parameters.get("public_endpoint_url"),
        region=parameters.get("region"),
        create_bucket=create == "true",
    )


def _refused(reason: str) -> InvalidStorageUrl:
    # The URL itself is not repeated: somebody may have put credentials into it.
    return InvalidStorageUrl(f"Cannot use this storage URL: {reason}. Accepted: {ACCEPTED}.")
