"""One server process of a state folder: started, found again by a later process, stopped.

LocalServerError      a private server cannot be had; the message says what to do
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

_POLL = 0.02  # seconds between two looks at a process or port; starts take 0.1 to 6 s
# Below the range from which Linux takes the ports of outgoing connections: a client that retries while its server is down
# could otherwise get the server's own port, and hold it.
_PORTS = range(20000, 32000)


class LocalServerError(RuntimeError):
    """A private server could not be installed, started or stopped. The message is for the person at the terminal."""


class ServerProcess:
    """A server in a session of its own, so that Ctrl-C in the terminal reaches only the program that will stop it.

    `STATE_DIR/NAME.json` remembers it (process id, start time, command) and `STATE_DIR/NAME.log` holds its output. A
    process id alone can come to mean another process, with its start time it cannot.
    """

    def __init__(self, name: str, state_dir: Path) -> None:
        self.name = name
        self.log = state_dir / f"{name}.log"
        self._record = state_dir / f"{name}.json"

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None when it does not run."""
        try:
            record = json.loads(self._record.read_bytes())
        except FileNotFoundError:
            return None
        state, started = _state(record["pid"])
        if started is None or started != record["started"]:
            return None
        if state == "Z":
            try:
                ended, _ = os.waitpid(record["pid"], os.WNOHANG)
            except ChildProcessError:  # another program's child is that program's to collect
                return None
            if ended:  # else its other threads still hold its ports
                return None
        return int(record["pid"])

    def start(self, command: list[str], env: Mapping[str, str], ready: Callable[[], bool], seconds: float) -> None:
        """Start the command and return when `ready()` says so; one that runs with this very command is adopted.

        Raises LocalServerError with the end of the log when it ends before that or takes more than `seconds`.
        """
        if self.pid is not None:
            same = json.loads(self._record.read_bytes())["command"] == command
            if same and wait_until(lambda: self.pid is None or ready(), seconds) and self.pid is not None:
                return
            self.stop(seconds)
        offset = self.log.stat().st_size if self.log.exists() else 0
        pid = self._spawn(command, env)
        write_private(self._record, json.dumps({"pid": pid, "started": _state(pid)[1], "command": command}))
        try:
            if wait_until(lambda: self.pid is None or ready(), seconds) and self.pid is not None:
                return
        except BaseException:  # Ctrl-C while starting must not leave half a server behind
            self.kill()
            raise
        reason = "ended while starting" if self.pid is None else f"was not ready after {seconds:g} s"
        self.kill()
        with self.log.open("rb") as log:
            log.seek(offset)
            tail = log.read()[-2000:].decode(errors="replace").strip()
        raise LocalServerError(f"{self.name} {reason}; its log is {self.log}\n{tail}")

    def stop(self, seconds: float, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask the server, if it runs, to end by the signal `how`; after `seconds` end it by force."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGCONT)  # one that was paused could not hear the request
            os.kill(pid, how)
            wait_until(lambda: self.pid is None, seconds)
        self.kill()

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL), with what shares its process group."""
        pid = self.pid
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
            wait_until(lambda: self.pid is None, 10)
        self._record.unlink(missing_ok=True)

    def send(self, what: signal.Signals) -> None:
        """Send a signal to the process group; after SIGSTOP the server stands. Raises LocalServerError when it does not run."""
        pid = self.pid
        if pid is None:
            raise LocalServerError(f"{self.name} does not run")
        os.killpg(pid, what)
        if what is signal.SIGSTOP:  # on a busy machine its threads stop one after the other, and answer meanwhile
            wait_until(lambda: all(_state(thread)[0] not in "RSD" for thread in _threads(pid)), 5)

    def _spawn(self, command: list[str], env: Mapping[str, str]) -> int:
        """Not by `subprocess`, which warns of a process that lives longer than the object for it: ours are meant to."""
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(self.log), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            return os.posix_spawnp(command[0], command, env, file_actions=files, setsid=True)
        except OSError as error:
            raise LocalServerError(f"{self.name} cannot be started: {command[0]}: {error.strerror}") from error


def _state(pid: int) -> tuple[str, int | None]:
    """The state letter of a process and its start in clock ticks since boot, as in proc(5); no start when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", None
    return fields[0], int(fields[19])


def _threads(pid: int) -> list[int]:
    """The threads of a process, of which `_state` tells too; none when it is gone."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(task.name) for task in tasks.iterdir()] if tasks.exists() else []


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look at a condition until it holds; False when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


@contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Hold a state folder, made here (mode 0700) if missing, while its server is started or stopped."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that only this user may read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    draft.rename(path)


def kept_secret(path: Path, mode: int = 0o600) -> str:
    """The secret in a file, generated (32 hex digits) on first use."""
    if not path.exists():
        write_private(path, secrets.token_hex(16), mode)
    return path.read_text()


def kept_ports(path: Path, names: Sequence[str], *, in_use: bool) -> dict[str, int]:
    """A loopback port for each name, remembered in a file: the ones of last time where they are still free.

    With `in_use` the server holds its ports at the moment, and they are the remembered ones.
    """
    try:
        remembered: dict[str, int] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        remembered = {}
    if in_use and remembered.keys() >= set(names):
        return {name: remembered[name] for name in names}
    with ExitStack() as held:  # all are held until the last is chosen, or one could be handed out twice
        ports = {name: _bind(held, remembered.get(name)) for name in names}
    write_private(path, json.dumps(ports))
    return ports


def _bind(held: ExitStack, port: int | None) -> int:
    """Hold a loopback port: the given one if it is free, else another one of the range."""
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what ended a second ago does not block its port
    for _ in range(100):
        port = port or secrets.choice(_PORTS)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            port = None
        else:
            return port
    raise LocalServerError(f"no free port between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")


def answers(port: int, greeting: bytes = b"") -> bool:
    """True when something accepts connections on a loopback port and, if a greeting is given, says something back."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=1)) as connection:
            connection.sendall(greeting)
            return not greeting or connection.recv(1) != b""
    except OSError:
        return False
