"""A private Redis from the machine's package: loopback only, nothing on disk."""

import shutil
import signal
from pathlib import Path

from yousync.local.process import ServerProcess, answers, kept_ports
from yousync.local.rabbitmq import apt_install

START_SECONDS = 20.0
STOP_SECONDS = 5.0


class PrivateRedis:
    """One server; its address stays the same over restarts."""

    def __init__(self, state_dir: Path) -> None:
        self._process = ServerProcess("redis", state_dir)
        self._port = kept_ports(state_dir / "ports.json", ["redis"], in_use=False)["redis"]

    @property
    def url(self) -> str:
        """What a setting names it by."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it; as root on Debian its package is installed when it is missing."""
        if shutil.which("redis-server") is None:
            apt_install("redis-server", missing="Redis is not installed", otherwise="leave these tests out")
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process.start(command, {"PATH": "/usr/bin:/bin"}, self._is_ready, START_SECONDS)

    def stop(self) -> None:
        """End it; all counters are gone."""
        self._process.send(signal.SIGCONT)
        self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def pause(self) -> None:
        """Connections stay open and nothing answers."""
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send(signal.SIGCONT)

    def _is_ready(self) -> bool:
        return answers(self._port, b"PING\r\n")
