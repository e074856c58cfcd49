"""schemathesis over the gateway's document, against a platform of its own: as an administrator it deletes what it finds.

By its command, because its pytest plugin does not know this version of pytest; what is configured and why: `schemathesis.toml`.
What it found and what was ours to mend: `test_found.py`.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.site import Site, open_site
from tests.e2e.platforms import Embedded

SECONDS = 400  # until it is given up; on two cores of its own it takes 15
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    platform = Embedded(tmp_path_factory.mktemp("playground") / "state")
    platform.start()
    try:
        site = open_site(platform)
        yield site
        site.close()
    finally:
        platform.stop()


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("who", ["anonymous", "admin"])
def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(playground: Site, who: str, tmp_path: Path) -> None:
    url = playground.platform.url
    bearer = ["--header", f"Authorization: Bearer {playground.tokens[who]}"] if playground.tokens[who] else []
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", f"{url}/openapi.json"]
    done = subprocess.run(
        [*command, *bearer, "--warnings=off"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout or "No issues found" in done.stdout, done.stdout[-2_000:]
