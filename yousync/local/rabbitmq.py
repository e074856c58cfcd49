"""A private RabbitMQ node from the machine's package, beside any that the machine runs as a service.

The node has its own ports, name server (epmd), cookie, home and folders, and a generated user; it reads nothing below
`/etc/rabbitmq`. The package's wrapper in `/usr/sbin` is not used: it switches to the service's user.
"""

import hashlib
import hmac
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yousync.local.process import (
    LocalServerError,
    ServerProcess,
    answers,
    exclusive,
    kept_ports,
    kept_secret,
    write_private,
)

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CONTROL = _SERVER.with_name("rabbitmqctl")
_AMQP_GREETING = b"AMQP\x00\x00\x09\x01"  # the protocol header of AMQP 0-9-1; a broker that is up answers it
_START_SECONDS = 90  # a first start takes 3 to 6 s on two idle cores
_STOP_SECONDS = 15
_CONTROL_SECONDS = 30  # one command takes 0.5 s on an idle machine
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# yousync: no service starts while a package is installed\nexit 101\n"


class PrivateRabbitMQ:
    """One broker node on loopback ports that stay the same over restarts while they are free.

    The addresses hold after `start()` or `find()`. Without `metrics` there is neither the Prometheus endpoint nor the
    management API, and a start takes 3 s instead of 6 and a stop 1 s instead of 6 (3.10.8 on two idle cores). Prometheus'
    plugin brings half of the management with it: the other half costs another 0.5 s and 4 MB.
    """

    def __init__(self, state_dir: Path, *, metrics: bool = True) -> None:
        self.state_dir = state_dir.resolve()
        self.metrics = metrics
        self._node = ServerProcess("rabbitmq", self.state_dir)
        self._names = ServerProcess("epmd", self.state_dir)
        self._ports = dict.fromkeys(["amqp", "metrics", "management", "distribution", "epmd"], 0)

    @property
    def amqp_url(self) -> str:
        """The BROKER_URL of the default virtual host, with the generated password."""
        return f"amqp://yousync:{kept_secret(self.state_dir / 'secret')}@127.0.0.1:{self._ports['amqp']}/"

    def user_url(self, user: str) -> str:
        """The BROKER_URL of the same for one of the users that `passwords` are for."""
        return f"amqp://{user}:{self.passwords((user,))[user]}@127.0.0.1:{self._ports['amqp']}/"

    def passwords(self, users: Iterable[str]) -> dict[str, str]:
        """A password for each, the same every time. Whether there are such users is another matter."""
        secret = kept_secret(self.state_dir / "secret")
        return {user: hmac.new(secret.encode(), user.encode(), hashlib.sha256).hexdigest() for user in users}

    @property
    def metrics_url(self) -> str:
        """Where Prometheus reads the node's metrics, if it was made with `metrics`."""
        return f"http://127.0.0.1:{self._ports['metrics']}/metrics"

    @property
    def management_url(self) -> str:
        """The base of the management API, if it was made with `metrics`, with the generated password."""
        return f"http://yousync:{kept_secret(self.state_dir / 'secret')}@127.0.0.1:{self._ports['management']}"

    def start(self) -> None:
        """Start it, or adopt the one that runs in this folder. Raises LocalServerError with the end of its log."""
        server = ensure_installed()
        with exclusive(self.state_dir):
            running = self._node.pid is not None
            if not running:
                self._names.kill()
            self._ports = kept_ports(self.state_dir / "ports.json", list(self._ports), in_use=running)
            self._write_configuration()
            environment = self._environment()
            epmd = shutil.which("epmd", path=environment["PATH"]) or "epmd"
            self._names.start(
                [epmd, "-port", str(self._ports["epmd"]), "-address", "127.0.0.1"],
                environment,
                lambda: answers(self._ports["epmd"]),
                seconds=10,
            )
            self._node.start([str(server)], environment, self._is_ready, _START_SECONDS)

    def find(self) -> bool:
        """Whether a node runs in this folder, whoever started it; then its addresses hold. Starts nothing."""
        if self._node.pid is None:
            return False
        self._ports = kept_ports(self.state_dir / "ports.json", list(self._ports), in_use=True)
        return True

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` with these arguments prints about this node, which has to run (0.5 s).

        Raises LocalServerError with what the command complains about.
        """
        command = [str(_CONTROL), "--quiet", *arguments]
        try:
            done = subprocess.run(
                command, env=self._environment(), capture_output=True, text=True, timeout=_CONTROL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LocalServerError(f"`{' '.join(command)}` was not done after {_CONTROL_SECONDS} s") from error
        if done.returncode != 0:
            raise LocalServerError(f"`{' '.join(command)}` failed\n{(done.stderr or done.stdout).strip()[-1000:]}")
        return done.stdout

    @property
    def control_environment(self) -> dict[str, str]:
        """The variables with which `rabbitmqctl` is found, and finds this node."""
        environment = self._environment()
        return {**environment, "PATH": os.pathsep.join([str(_CONTROL.parent), environment["PATH"]])}

    def stop(self) -> None:
        """End it in order; durable queues and their messages stay for the next start."""
        with exclusive(self.state_dir):
            self._node.stop(_STOP_SECONDS)
            self._names.stop(seconds=3)

    def kill(self) -> None:
        """End the node as a crash would (SIGKILL).

        Seen with 3.10.8: what was declared within the last 5 s may not be on disk yet. Such a queue may be gone, and a
        quorum queue may come back without a leader for good (rabbitmq-server issue 10070). Older ones are not affected.
        """
        self._node.kill()

    def pause(self) -> None:
        """Freeze the node: connections stay open and nothing answers, as with a machine that hangs."""
        self._node.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused node go on."""
        self._node.send(signal.SIGCONT)

    def _is_ready(self) -> bool:
        amqp = answers(self._ports["amqp"], _AMQP_GREETING)
        return amqp and (not self.metrics or (answers(self._ports["metrics"]) and answers(self._ports["management"])))

    def _write_configuration(self) -> None:
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self._ports['amqp']}",
            "default_user": "yousync",
            "default_pass": kept_secret(self.state_dir / "secret"),
        }
        if self.metrics:
            for name, port in (("prometheus", "metrics"), ("management", "management")):
                settings[f"{name}.tcp.ip"] = "127.0.0.1"
                settings[f"{name}.tcp.port"] = str(self._ports[port])
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        write_private(self.state_dir / "rabbitmq.conf", lines)
        write_private(
            self.state_dir / "enabled_plugins", f"[{'rabbitmq_prometheus,rabbitmq_management' if self.metrics else ''}].\n"
        )
        kept_secret(self.state_dir / ".erlang.cookie", mode=0o400)

    def _environment(self) -> dict[str, str]:
        here = str(self.state_dir)
        return {
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/bin", "/bin"]),
            "LANG": "C.UTF-8",
            "HOME": here,
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The script then becomes the Erlang machine instead of staying its parent, so that signals reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": "yousync@localhost",
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{here}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{here}/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{here}/data",
            "RABBITMQ_LOG_BASE": f"{here}/log",
            "RABBITMQ_LOGS": "-",
            # Two nodes whose schedulers are bound to cores (the default) would both sit on the first ones.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
        }


def ensure_installed() -> Path:
    """The package's server script; as root on Debian the package is installed first, without starting its service.

    Raises LocalServerError with what to install, or which URL to pass instead.
    """
    if _SERVER.exists():
        return _SERVER
    apt_install("rabbitmq-server", missing="RabbitMQ is not installed", otherwise="pass BROKER_URL")
    return _SERVER


def apt_install(package: str, *, missing: str, otherwise: str) -> None:
    """Install a Debian package as root, without starting its services. Raises LocalServerError with what else can be done."""
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise LocalServerError(f"{missing}: apt-get install {package}, or {otherwise}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", package]
    with _no_service_starts():
        for command in ([apt, "update"], install):
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                reason = (done.stderr or done.stdout).strip()[-1000:]
                raise LocalServerError(f"`{' '.join(command)}` failed; or {otherwise}\n{reason}")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Deny every service start by Debian's policy file, unless the machine has one of its own, and remove it again."""
    ours = not _POLICY.exists() or _POLICY.read_text() == _POLICY_TEXT  # the latter: an earlier install was killed
    if ours:
        write_private(_POLICY, _POLICY_TEXT, mode=0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink(missing_ok=True)
