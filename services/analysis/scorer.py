"""A scoring process: `python -m services.analysis.scorer MEMORY_MIB`, started and spoken to by `services.analysis.pool`.

It opens what strangers send, so it holds no secret (the pool gives it a bare environment), writes no file, opens few,
and lives within a memory limit. It ends when its input ends.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

from services.analysis.errors import AudioError
from services.analysis.scoring.analyze import Analyzer
from services.analysis.scoring.decode import MAX_BYTES
from services.analysis.scoring.script import ScriptWord
from services.analysis.wire import HEADER, pack_json

MAX_OPEN_FILES: Final = 32


class Scorer:
    """Reads jobs from one pipe, writes what it has to say to another."""

    def __init__(self, jobs: BinaryIO, answers: BinaryIO) -> None:
        self._jobs, self._answers = jobs, answers
        self._analyzer = Analyzer()

    def run(self) -> None:
        """Until the pool closes the pipe."""
        self._say("ready", os.getpid())
        while (head := self._read()) is not None and (audio := self._read()) is not None:
            job = json.loads(head)
            # Should this process hang in native code after the pool has died, nobody else would end it.
            signal.setitimer(signal.ITIMER_REAL, job["timeout"])
            try:
                self._say("result", self._score(job, audio))
            except AudioError as error:
                self._say("audio_error", {"code": error.code, "detail": error.detail})
            except Exception as error:
                self._say("failure", f"{type(error).__name__}: {error}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _score(self, job: dict[str, Any], audio: bytes) -> dict[str, Any]:
        words = [ScriptWord(**word) for word in job["words"]]
        if job["path"] is not None:
            with Path(job["path"]).open("rb") as file:
                audio = file.read(MAX_BYTES + 1)
        result = self._analyzer.analyze(
            audio, words, lambda percent, step: self._say("progress", [percent, step]), line_start=job["line_start"]
        )
        return result.to_json()

    def _read(self) -> bytes | None:
        header = self._jobs.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        (length,) = HEADER.unpack(header)
        body = self._jobs.read(length)
        return body if len(body) == length else None

    def _say(self, key: str, value: object) -> None:
        self._answers.write(pack_json({key: value}))
        self._answers.flush()


def limit(memory_mib: int) -> None:
    """Let this process grow to `memory_mib` of address space, write no file and leave no core dump behind."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))


def main() -> None:
    # Codec libraries print to stdout and stderr as they please; the pool's pipes are moved out of their reach.
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's to handle; it closes the pipe when it is done
    limit(int(sys.argv[1]))
    scorer = Scorer(jobs, answers)
    try:
        scorer.run()
    except BrokenPipeError:
        sys.exit("the pool is gone")


if __name__ == "__main__":
    main()
