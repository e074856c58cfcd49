"""Every service in a process of its own on this machine, over real RabbitMQ, PostgreSQL and S3.

`start` is idempotent: what runs is left alone, what does not is started, so it also brings back a service that was killed.
"""

import asyncio
import os
import sys
from pathlib import Path

from yousync.backing import start_fleet_backing, stop_fleet_backing
from yousync.environment import SERVICES, Address, service_environment
from yousync.local.process import LocalServerError, ServerProcess, answers, kept_ports
from yousync.options import Options
from yousync.ready import until_ready

START_SECONDS = 60.0
STOP_SECONDS = 10.0
METRICS = "gateway-metrics"  # the port of the gateway's metrics, which the public one does not show


async def start_fleet(options: Options) -> dict[str, Address]:
    """Start what is missing and return where each service listens. Raises `LocalServerError` with what to do."""
    run = run_folder(options)
    backing = await start_fleet_backing(options)
    ports = _ports(run)
    metrics = ports.pop(METRICS)
    addresses = {name: Address.tcp("127.0.0.1", port) for name, port in ports.items()}
    addresses["gateway"] = Address.tcp(options.host, options.port)
    starts = []
    for name in SERVICES:
        process = ServerProcess(name, run)
        environment = {**os.environ, **service_environment(name, options, backing, addresses)}
        if name == "gateway":
            environment["GATEWAY_METRICS_LISTEN"] = f"127.0.0.1:{metrics}"
        starts.append(asyncio.to_thread(_start, process, environment, int(addresses[name].listen["LISTEN_PORT"])))
    await asyncio.gather(*starts)
    await until_ready(addresses)
    return addresses


async def stop_fleet(options: Options) -> None:
    """Stop all services, the gateway first, then what they ran on."""
    run = run_folder(options)
    gateway, *others = [ServerProcess(name, run) for name in reversed(SERVICES)]
    await asyncio.to_thread(gateway.stop, STOP_SECONDS)
    await asyncio.gather(*(asyncio.to_thread(process.stop, STOP_SECONDS) for process in others))
    for name in SERVICES:
        (run / f"{name}.pid").unlink(missing_ok=True)
    await stop_fleet_backing(options)


def run_folder(options: Options) -> Path:
    """Where pid files and logs of the fleet lie."""
    folder = options.state_dir / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _start(process: ServerProcess, environment: dict[str, str], port: int) -> None:
    if process.pid is not None:
        return
    if answers(port):
        raise LocalServerError(f"port {port} for {process.name} is taken by another program: choose another with PORT=")
    command = [sys.executable, "-m", f"services.{process.name}"]
    process.start(command, environment, lambda: answers(port), START_SECONDS)
    process.log.with_suffix(".pid").write_text(f"{process.pid}\n")


def _ports(run: Path) -> dict[str, int]:
    """The ports of last time while any service of then still runs, because the others know them; else those that are free."""
    inner = [*(name for name in SERVICES if name != "gateway"), METRICS]
    in_use = any(ServerProcess(name, run).pid is not None for name in SERVICES)
    return kept_ports(run / "ports.json", inner, in_use=in_use)
