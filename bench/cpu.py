"""Who burns the processor: the time of each process of a fleet with all that it started, as proc(5) counts it.

Unlike a latency it depends little on what else this machine does meanwhile.
"""

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_TICK = 1e3 / os.sysconf("SC_CLK_TCK")  # milliseconds


def servers(state_dir: Path) -> dict[str, int]:
    """The process ids of a fleet's services and of what they run on, by name."""
    return {record.stem: int(pid) for record in sorted(state_dir.glob("*/*.json")) if (pid := _pid(record)) is not None}


def used(processes: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds of processor time that each has used so far, with its descendants, also those that have ended."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ends at this moment
            children[int(fields[1])].append(int(folder.name))
            ticks[int(folder.name)] = sum(map(int, fields[11:15]))

    def of(pid: int) -> int:
        return ticks.get(pid, 0) + sum(map(of, children[pid]))

    return {name: of(pid) * _TICK for name, pid in processes.items()}


def own() -> float:
    """Milliseconds that this process has used so far, without those whom it started."""
    times = os.times()
    return (times.user + times.system) * 1e3


def _pid(record: Path) -> int | None:
    """What `yousync.local.process.ServerProcess` notes of a server that it started."""
    noted = json.loads(record.read_bytes())
    return int(noted["pid"]) if isinstance(noted, dict) and "pid" in noted else None
