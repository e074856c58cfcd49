"""The whole server over a bus of the test: real pool, real engine, a real take over real HTTP."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import httpx

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import AUDIO_REPORTS
from libs.common.contracts.audio import AnalysisReportCompleted, AnalysisRequested, JobKind, Priority
from libs.common.contracts.catalog import Word
from services.analysis.main import build
from services.analysis.settings import AnalysisSettings

SAMPLES: Final = Path(__file__).parents[3] / "samples"
SCRIPT: Final = 1
PATIENCE: Final = 60.0


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class' name)
        pass


def request(base: str) -> AnalysisRequested:
    """The work that a take of the first sample line is."""
    catalogue = json.loads((SAMPLES / "catalog.json").read_text(encoding="utf-8"))
    line = next(script for script in catalogue["scripts"] if script["id"] == SCRIPT)
    words = [Word(**word) for word in catalogue["words"] if word["script_id"] == SCRIPT]
    return AnalysisRequested(
        job_id="0" * 32,
        kind=JobKind.LINE,
        priority=Priority.HIGH,
        attempt=1,
        lease="1" * 32,
        lease_seconds=30,
        claim_before=datetime.now(UTC) + timedelta(minutes=10),
        deadline=datetime.now(UTC) + timedelta(minutes=10),
        audio_url=f"{base}/script-{SCRIPT}.flac",
        audio_uri="file:///unused",
        media_type="audio/flac",
        token_id=line["token_id"],
        script_id=SCRIPT,
        line_start=line["start_time"],
        line_end=line["end_time"],
        words=tuple(words),
    )


async def test_a_take_of_a_sample_line_is_scored_as_the_web_client_reads_it() -> None:
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SAMPLES / "takes")))
    Thread(target=files.serve_forever, daemon=True).start()
    bus = MemoryBus()
    await bus.start()
    done: asyncio.Future[AnalysisReportCompleted] = asyncio.get_running_loop().create_future()

    async def hear(message: Message) -> None:
        if message.type == AnalysisReportCompleted.name:
            done.set_result(AnalysisReportCompleted.model_validate_json(message.body))

    await bus.consume(AUDIO_REPORTS, hear)
    app = build(AnalysisSettings(scoring_processes=1), bus)
    work = request(f"http://127.0.0.1:{files.server_port}")
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        assert (await client.get("/health/ready")).status_code == 503
        async with asyncio.timeout(PATIENCE):
            await bus.publish(Message.of(work, source="/test", subject="", routing_key="analysis.requested.high"))
            report = await done
        assert (await client.get("/health/ready")).json()["checks"] == {"scoring": "ok", "bus": "ok"}
        assert "yousync_analysis_outcomes_total" in (await client.get("/metrics")).text
    await bus.close()
    files.shutdown()
    files.server_close()
    result = report.result["result"]
    assert report.result["status"] == "success"
    assert [word["word"] for word in result["word_analysis"]] == [word.word for word in work.words]
    assert result["overall_score"] > 0.8
