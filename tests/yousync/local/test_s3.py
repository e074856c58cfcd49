"""The private S3 server, through the client that the services use."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aioboto3

from yousync.local.s3 import PrivateS3


async def test_its_url_and_credentials_reach_a_bucket(s3: PrivateS3) -> None:
    url = urlsplit(s3.storage_url)
    options = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert options["endpoint_url"] == s3.endpoint_url
    session = aioboto3.Session(
        aws_access_key_id=s3.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=options["region"],
    )
    async with session.client("s3", endpoint_url=options["endpoint_url"]) as client:
        await client.put_object(Bucket=url.netloc, Key="takes/1.wav", Body=b"RIFF")
        answer = await client.get_object(Bucket=url.netloc, Key="takes/1.wav")
        assert await answer["Body"].read() == b"RIFF"


def test_starting_it_again_adopts_the_running_one(tmp_path: Path) -> None:
    server, again = PrivateS3(tmp_path), PrivateS3(tmp_path)
    server.start()
    try:
        again.start()
        assert again.storage_url == server.storage_url
        assert again.environment == server.environment
    finally:
        again.stop()
