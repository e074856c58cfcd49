import json
import signal
import subprocess
import sys

import numpy as np

from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.wire import HEADER, pack, pack_json
from tests.services.analysis.conftest import SAMPLES, wav


def test_a_scoring_process_that_nobody_watches_any_more_ends_itself() -> None:
    """Its own alarm rings when a take lasts longer than the pool would have allowed."""
    job: dict[str, object] = {"path": None, "words": [], "line_start": None, "timeout": 0.05}
    noise = np.random.default_rng(1).standard_normal(30 * SAMPLE_RATE) / 10
    command = [sys.executable, "-m", "services.analysis.scorer", "768"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=SAMPLES.parent) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        (length,) = HEADER.unpack(process.stdout.read(HEADER.size))
        assert json.loads(process.stdout.read(length)) == {"ready": process.pid}
        process.stdin.write(pack_json(job) + pack(wav(noise.astype(np.float32))))
        process.stdin.flush()
        assert process.wait(timeout=10) == -signal.SIGALRM
