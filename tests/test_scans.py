"""That the looks at code, tree and lock would find something: each is given what it has to find."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
VULNERABLE = "joserfc"  # as far as these tests' advisories go


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def recipe(target: str) -> list[str]:
    """The command lines of a target, as make would run them."""
    done = run("make", "--no-print-directory", "--dry-run", "--assume-old=venv-dev", target)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if "bootstrap" not in line]


def test_a_secret_in_the_tree_is_found(tmp_path: Path) -> None:
    scan = next(line for line in recipe("scan") if "secrets" in line)
    command = scan.partition("xargs -0 ")[2].split()
    innocent, leak = tmp_path / "innocent.py", tmp_path / "leak.py"
    innocent.write_text('greeting = "hello"\n')
    leak.write_text(f'password = "{"hunter2" * 3}"\nkey = "AKIA{"Z7Q2" * 4}"\n')
    assert run(*command, innocent).returncode == 0
    found = run(*command, innocent, leak)
    assert found.returncode == 1
    assert "leak.py" in found.stdout
    assert "innocent.py" not in found.stdout


def test_what_is_known_to_be_none_may_move(tmp_path: Path) -> None:
    name = next(iter(json.loads((ROOT / ".secrets.baseline").read_text())["results"]))
    for needed in (".secrets.baseline", ".ci/secrets", name):
        (tmp_path / needed).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / needed, tmp_path / needed)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / name).write_text("\n" + (ROOT / name).read_text())
    assert run("git", "init", "--quiet", cwd=tmp_path).returncode == 0
    done = run("sh", ".ci/secrets", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / name).write_text(f'password = "{"hunter2" * 3}"\n')
    assert run("sh", ".ci/secrets", name, cwd=tmp_path).returncode == 1


def test_a_weakness_in_the_code_is_found(tmp_path: Path) -> None:
    command = next(line for line in recipe("scan") if "bandit" in line).split()
    options = [word for word in command if word not in ("libs", "services", "yousync")]
    assert len(options) == len(command) - 3
    (tmp_path / "weak.py").write_text('import subprocess\n\nsubprocess.run("ls", shell=True)\neval("1")\n')
    found = run(*options, tmp_path)
    assert found.returncode == 1
    assert "B307" in found.stdout


class Advisories(BaseHTTPRequestHandler):
    """An OSV server that knows of one vulnerability."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {}
        if asked["package"]["name"] == self.server.vulnerable:  # type: ignore[attr-defined]
            affected = {"package": asked["package"], "versions": [asked["version"]]}
            times = dict.fromkeys(("modified", "published"), "2026-01-01T00:00:00Z")
            answer = {"vulns": [{"id": "TEST-1", "details": "for a test", "affected": [affected], **times}]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Not into the tests' output."""


@pytest.fixture
def advisories(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    server.vulnerable = request.param  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("advisories", "status"), [(VULNERABLE, 1), ("nothing-that-is-locked", 0)], indirect=["advisories"])
def test_a_known_vulnerability_of_what_is_locked_is_found(advisories: str, status: int) -> None:
    command = next(line for line in recipe("advisories") if "pip-audit" in line).split()
    done = run(*command, "--vulnerability-service", "osv", "--osv-url", advisories)
    assert done.returncode == status, done.stderr
    assert ("TEST-1" in done.stdout) == bool(status)
