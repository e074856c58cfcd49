"""The platform under test: every service and every worker a process of its own, over proxies to the broker, supervised."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.chaos.broker import Broker
from tests.chaos.proxy import Proxy
from tests.e2e.platforms import free_port
from yousync.backing import start_fleet_backing, stop_fleet_backing
from yousync.client import Client
from yousync.environment import SERVICES, Address, Backing, service_environment
from yousync.local.process import LocalServerError, ServerProcess, answers, kept_ports
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.options import Options
from yousync.ready import until_ready
from yousync.samples import load_catalog
from yousync.stores import Stores

RESTART_SECONDS = 1.0  # as supervisors wait before they start again what ended
LOOK_SECONDS = 0.1
HEARTBEAT = 2  # seconds, of every connection to the broker: one that is dead is noticed after about three


@dataclass(frozen=True)
class Load:
    """How the fleet is set for a run. Times are seconds."""

    slots: int  # of each worker
    workers: int = 3
    work: float = 4.0  # per take, on average
    lease: float = 6.0
    retry_ladder: tuple[float, ...] = (1.0, 2.0, 5.0, 20.0)

    @property
    def environment(self) -> dict[str, str]:
        """What is shortened, so that minutes show what takes hours."""
        return {
            "AUDIO_LEASE_SECONDS": str(self.lease),
            "AUDIO_SWEEP_SECONDS": "1",
            "AUDIO_CLAIM_SECONDS": "15",
            "AUDIO_RETRY_SECONDS": "[0, 2]",
            "RETRY_LADDER": json.dumps(self.retry_ladder),
            "GATEWAY_HEARTBEAT_SECONDS": "2",
            "AUTH_TOKEN_SECONDS": "3600",  # nobody here signs in again
        }


@dataclass
class Member:
    """A process of the fleet that is kept running."""

    server: ServerProcess
    command: list[str]
    environment: Mapping[str, str]
    address: Address | None = None  # of a service
    killed: bool = False  # by us, and not started again yet

    @property
    def listens(self) -> bool:
        """Whether somebody would get an answer; nobody asks a worker."""
        return self.address is None or answers(int(self.address.listen["LISTEN_PORT"]))


@dataclass
class Fleet:
    """`start`, then `import_samples`; `deaths` are the processes that ended without being killed."""

    state_dir: Path
    load: Load
    deaths: list[str] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def __post_init__(self) -> None:
        self.options = Options(
            state_dir=self.state_dir,
            host="127.0.0.1",
            port=free_port(),
            environment="development",
            log_level="INFO",
            broker_url=None,
            database_url=None,
            storage_url=None,
        )
        self.journal = self.run / "journal.jsonl"
        self.broker = Broker(PrivateRabbitMQ(self.state_dir / "rabbitmq"))
        self.backing: Backing
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self.options.base_url

    @property
    def stores(self) -> Stores:
        """For the audit: not over the proxies."""
        urls = {service: url.replace("+asyncpg", "") for service, url in self.backing.database_urls.items()}
        return Stores(urls, self.backing.broker_url, self.load.retry_ladder)

    @property
    def run(self) -> Path:
        """Where records and logs of the processes lie."""
        folder = self.state_dir / "run"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def workers(self) -> list[str]:
        return [f"worker-{number}" for number in range(1, self.load.workers + 1)]

    async def start(self) -> None:
        """Start everything and wait until it is ready."""
        self.backing = await start_fleet_backing(self.options, self.load.retry_ladder)
        await self.broker.start()  # it runs: this adopts it
        services = [name for name in SERVICES if name != "analysis"]
        ports = kept_ports(self.run / "ports.json", [name for name in SERVICES if name != "gateway"], in_use=False)
        addresses = {name: Address.tcp("127.0.0.1", port) for name, port in ports.items()}
        addresses["gateway"] = Address.tcp("127.0.0.1", self.options.port)
        for name in services:
            await self._join(name, [sys.executable, "-m", f"services.{name}"], addresses, addresses[name])
        for name in self.workers:
            job = [name, str(self.load.slots), str(self.load.work), str(self.journal)]
            await self._join(name, [sys.executable, "-m", "tests.chaos.worker", *job], addresses)
        await asyncio.gather(*(asyncio.to_thread(self._start, member) for member in self.members.values()))
        self._supervisor = asyncio.create_task(self._supervise())
        await self.ready()

    async def ready(self) -> None:
        """Wait until every service says that it is ready. Raises LocalServerError."""
        await until_ready({name: member.address for name, member in self.members.items() if member.address is not None})

    async def import_samples(self) -> None:
        """Load the sample catalogue."""
        async with Client(self.url) as admin:
            await admin.sign_in("admin@example.org", admin=True)
            await admin.import_catalog(load_catalog())

    async def stop(self) -> None:
        """End everything."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(member.server.stop, 5.0) for member in self.members.values()))
        for proxy in self.proxies.values():
            await proxy.stop()
        await stop_fleet_backing(self.options)

    async def kill(self, name: str) -> None:
        """kill -9 of a service or worker; returns when it runs, and listens, again."""
        member = self.members[name]
        member.killed = True
        await asyncio.to_thread(member.server.kill)
        while member.killed or not member.listens:
            await asyncio.sleep(LOOK_SECONDS)

    def pause(self, name: str) -> None:
        """SIGSTOP of a service or worker."""
        self.members[name].server.send(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT of a service or worker."""
        self.members[name].server.send(signal.SIGCONT)

    def pause_postgres(self) -> list[int]:
        """SIGSTOP of the database server, all its processes; for `resume_postgres`."""
        main = ServerProcess("postgres", self.state_dir / "postgres").pid
        assert main is not None
        os.kill(main, signal.SIGSTOP)  # first: then there are no new ones
        processes = [main, *_children(main)]
        for process in processes[1:]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        return processes

    def resume_postgres(self, processes: list[int]) -> None:
        """SIGCONT."""
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    async def _join(self, name: str, command: list[str], addresses: dict[str, Address], own: Address | None = None) -> None:
        role = name if own is not None else "analysis"
        proxy = self.proxies[name] = Proxy(self.backing.broker_urls[role])
        await proxy.start()
        own_urls = {**self.backing.broker_urls, role: f"{proxy.url}?heartbeat={HEARTBEAT}"}
        backing = replace(self.backing, broker_urls=own_urls)
        environment = service_environment(role, self.options, backing, addresses)
        kept = {each: os.environ[each] for each in ("PATH", "HOME", "LANG", "TMPDIR") if each in os.environ}
        environment = {**kept, **environment, **self.load.environment}
        self.members[name] = Member(ServerProcess(name, self.run), command, environment, own)

    def _start(self, member: Member) -> None:
        # Ready at once: a supervisor does not wait for what it started, and what it needs may be away.
        member.server.start(member.command, member.environment, lambda: True, 1.0)

    async def _supervise(self) -> None:
        """Start what ended again, after a pause."""
        down_since: dict[str, float] = {}
        while True:
            for name, member in self.members.items():
                if member.server.pid is not None:
                    down_since.pop(name, None)
                elif name not in down_since:
                    down_since[name] = time.monotonic()
                    if not member.killed:
                        self.deaths.append(name)
                elif time.monotonic() - down_since[name] > RESTART_SECONDS:
                    with suppress(LocalServerError):  # it ended at once: the next look counts that
                        await asyncio.to_thread(self._start, member)
                    member.killed = False
                    down_since.pop(name)
            await asyncio.sleep(LOOK_SECONDS)


def _children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
