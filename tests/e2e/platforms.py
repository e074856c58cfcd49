"""Platforms for the end-to-end tests, started and ended as a person at a terminal would, each in a state folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from yousync.samples import SAMPLES

COMMAND = [sys.executable, "-m", "yousync.cli"]
TAKES = SAMPLES / "takes"


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def refusals(state_dir: Path) -> list[str]:
    """What a fleet's broker and databases have refused to somebody, from their logs."""
    logs = (state_dir / "rabbitmq" / "rabbitmq.log", state_dir / "postgres" / "postgres.log")
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return [line for line in lines if "refused for user" in line or "permission denied" in line]


class Platform:
    """What both kinds have in common: a state folder, a port, the commands of `yousync` against it."""

    def __init__(self, state_dir: Path, **variables: str) -> None:
        self.state_dir = state_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {"STATE_DIR": str(state_dir), "PORT": str(self.port), "LOG_LEVEL": "INFO"}
        # nothing of the machine's own settings, as in a fresh terminal
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {**kept, **own, **variables}

    def yousync(self, *arguments: str) -> str:
        """Run a command to its end; its output. Raises with the output when it fails."""
        done = subprocess.run(
            [*COMMAND, *arguments], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"yousync {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def import_samples(self) -> dict[str, object]:
        """Load the sample catalogue."""
        counts: dict[str, object] = json.loads(
            self.yousync("catalog", "import", str(SAMPLES / "catalog.json"), "--url", self.url)
        )
        return counts


class Embedded(Platform):
    """`yousync up`."""

    process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with (self.state_dir / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "up"], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the platform did not start:\n{(self.state_dir / 'up.log').read_text()[-3000:]}")

    def stop(self) -> float:
        """Press Ctrl-C; the seconds until it has ended."""
        started = time.monotonic()
        os.kill(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)
        return time.monotonic() - started

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(timeout=10)


class Fleet(Platform):
    """`yousync fleet up`."""

    def start(self) -> None:
        """Start what does not run."""
        self.yousync("fleet", "up")

    def stop(self) -> None:
        """Stop everything."""
        self.yousync("fleet", "down")

    def refusals(self) -> list[str]:
        """What the broker and the databases have refused to somebody."""
        return refusals(self.state_dir)

    def kill(self, service: str) -> None:
        """kill -9 of one service, by its pid file, as an operator would."""
        os.kill(int((self.state_dir / "run" / f"{service}.pid").read_text()), signal.SIGKILL)
