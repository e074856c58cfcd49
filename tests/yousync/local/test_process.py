"""What every private server relies on, tried with small processes."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from yousync.local.process import LocalServerError, ServerProcess, kept_ports, kept_secret, wait_until

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def start(server: ServerProcess, command: list[str]) -> int:
    server.start(command, os.environ, lambda: "up" in server.log.read_text(), seconds=20)
    assert server.pid is not None
    return server.pid


def test_a_later_process_finds_and_stops_a_server(tmp_path: Path) -> None:
    pid = start(ServerProcess("sleeper", tmp_path), SLEEPER)
    found = ServerProcess("sleeper", tmp_path)
    assert found.pid == pid
    found.stop(seconds=5)
    assert found.pid is None


def test_a_server_that_runs_with_the_same_command_is_adopted_and_another_is_replaced(tmp_path: Path) -> None:
    server = ServerProcess("sleeper", tmp_path)
    pid = start(server, SLEEPER)
    try:
        assert start(ServerProcess("sleeper", tmp_path), SLEEPER) == pid
        assert start(ServerProcess("sleeper", tmp_path), [*SLEEPER, "another"]) != pid
    finally:
        ServerProcess("sleeper", tmp_path).kill()


def test_a_process_id_that_now_is_another_process_is_left_alone(tmp_path: Path) -> None:
    server = ServerProcess("sleeper", tmp_path)
    (tmp_path / "sleeper.json").write_text(f'{{"pid": {os.getpid()}, "started": 1, "command": []}}')
    assert server.pid is None
    server.stop(seconds=1)  # we are still here


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    server = ServerProcess("deaf", tmp_path)
    start(server, DEAF)
    server.stop(seconds=0.2)
    assert server.pid is None


def test_a_paused_server_stands(tmp_path: Path) -> None:
    server = ServerProcess("sleeper", tmp_path)
    pid = start(server, SLEEPER)
    try:
        server.send(signal.SIGSTOP)
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    finally:
        server.kill()


def test_a_paused_server_is_stopped_all_the_same(tmp_path: Path) -> None:
    server = ServerProcess("sleeper", tmp_path)
    start(server, SLEEPER)
    server.send(signal.SIGSTOP)
    server.stop(seconds=5)
    assert server.pid is None


def test_ctrl_c_in_the_terminal_does_not_reach_a_server(tmp_path: Path) -> None:
    server = ServerProcess("sleeper", tmp_path)
    pid = start(server, SLEEPER)
    try:
        assert os.getpgid(pid) != os.getpgid(0)
        assert os.getsid(pid) != os.getsid(0)
    finally:
        server.kill()


def test_a_server_that_ends_while_starting_says_why(tmp_path: Path) -> None:
    server = ServerProcess("broken", tmp_path)
    with pytest.raises(LocalServerError, match=r"broken ended while starting; its log is .*\nno such option"):
        server.start([sys.executable, "-c", "raise SystemExit('no such option')"], os.environ, lambda: False, seconds=20)
    assert server.pid is None


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    server = ServerProcess("slow", tmp_path)
    with pytest.raises(LocalServerError, match=r"was not ready after 0\.1 s"):
        server.start(SLEEPER, os.environ, lambda: False, seconds=0.1)
    assert wait_until(lambda: ServerProcess("slow", tmp_path).pid is None, 5)


def test_signalling_a_server_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LocalServerError, match="does not run"):
        ServerProcess("absent", tmp_path).send(signal.SIGSTOP)


def test_ports_stay_while_they_are_free_and_differ_from_each_other(tmp_path: Path) -> None:
    first = kept_ports(tmp_path / "ports.json", ["a", "b"], in_use=False)
    assert first["a"] != first["b"]
    assert max(first.values()) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert kept_ports(tmp_path / "ports.json", ["a", "b"], in_use=False) == first
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first["a"]))
        stranger.listen()
        assert kept_ports(tmp_path / "ports.json", ["a", "b"], in_use=True) == first
        moved = kept_ports(tmp_path / "ports.json", ["a", "b"], in_use=False)
    assert moved["a"] != first["a"]
    assert moved["b"] == first["b"]


def test_a_secret_is_generated_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    secret = kept_secret(tmp_path / "secret")
    assert len(secret) == 32
    assert kept_secret(tmp_path / "secret") == secret
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
