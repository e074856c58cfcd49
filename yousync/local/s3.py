"""A private S3 API: moto's server in a process of its own.

For tests and local fleets only: it keeps every object in memory, forgets all when it ends, and checks no signature.
"""

import os
import sys
from pathlib import Path
from urllib.parse import urlencode

import httpx

from yousync.local.process import LocalServerError, ServerProcess, answers, exclusive, kept_ports, kept_secret

_REGION = "us-east-1"  # the one region in which a bucket is made without naming a location


class PrivateS3:
    """An S3 API with one bucket on a loopback port of its own.

    `storage_url` and `environment` (the credentials) are what a service needs to reach it; both hold after `start()`.
    """

    bucket = "yousync"

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.resolve()
        self._process = ServerProcess("s3", self.state_dir)
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        """Where the API listens: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def storage_url(self) -> str:
        """The STORAGE_URL of its bucket: `s3://BUCKET?endpoint_url=...&region=...`."""
        return f"s3://{self.bucket}?{urlencode({'endpoint_url': self.endpoint_url, 'region': _REGION})}"

    @property
    def environment(self) -> dict[str, str]:
        """The credentials, under the names that every AWS client reads."""
        return {
            "AWS_ACCESS_KEY_ID": "yousync",
            "AWS_SECRET_ACCESS_KEY": kept_secret(self.state_dir / "secret"),
        }

    def start(self) -> None:
        """Start it, or adopt the one that runs in this folder, and make the bucket."""
        with exclusive(self.state_dir):
            running = self._process.pid is not None
            self._port = kept_ports(self.state_dir / "ports.json", ["s3"], in_use=running)["s3"]
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
            self._process.start(command, os.environ, lambda: answers(self._port), seconds=30)
            made = httpx.put(f"{self.endpoint_url}/{self.bucket}", trust_env=False)
            if made.is_error and made.status_code != httpx.codes.CONFLICT:
                raise LocalServerError(f"the private S3 server made no bucket: {made.status_code} {made.text}")

    def find(self) -> bool:
        """Whether one runs in this folder, whoever started it; then its address holds. Starts nothing."""
        if self._process.pid is None:
            return False
        self._port = kept_ports(self.state_dir / "ports.json", ["s3"], in_use=True)["s3"]
        return True

    def stop(self) -> None:
        """End it; its objects are gone."""
        with exclusive(self.state_dir):
            self._process.stop(seconds=3)
