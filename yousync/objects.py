"""The object store of a running platform, for the tools that look at it from outside."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

from libs.common.storage.base import InvalidStorageUrl, Storage, StorageUnavailable
from libs.common.storage.factory import open_storage
from yousync.environment import variables
from yousync.local.process import LocalServerError
from yousync.local.s3 import PrivateS3
from yousync.options import Options


@asynccontextmanager
async def open_objects(options: Options) -> AsyncIterator[Storage]:
    """The object store of the platform that `options` name: STORAGE_URL, else the one in STATE_DIR. For who looks, not signs.

    Raises LocalServerError with what to set.
    """
    s3 = PrivateS3(options.state_dir / "s3")
    folder = options.state_dir / "objects"
    credentials: Mapping[str, str] = {}
    if options.storage_url is not None:
        url = options.storage_url
    elif s3.state_dir.exists():
        if not s3.find():
            raise LocalServerError(f"the S3 server in {s3.state_dir} does not run")
        url, credentials = s3.storage_url, s3.environment
    elif folder.exists():
        url = f"file://{quote(str(folder.resolve()))}"
    else:
        raise LocalServerError(f"no objects are in {options.state_dir}: name another folder with STATE_DIR=, or STORAGE_URL")
    with variables(credentials):
        try:
            storage = open_storage(url, signing_key=secrets.token_bytes(32), public_url="")  # nothing is signed with it
            await storage.start()
        except (InvalidStorageUrl, StorageUnavailable) as error:
            raise LocalServerError(f"STORAGE_URL: {error.detail}") from error
        try:
            yield storage
        finally:
            await storage.close()
