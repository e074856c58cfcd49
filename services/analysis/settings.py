"""What can be set from outside, as ANALYSIS_<NAME>; what all services share (BROKER_URL, ..) stands in libs.common."""

import os
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from libs.common.settings import BusSettings


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class AnalysisSettings(BusSettings):
    """Of the reference analysis server, and of the bridge to another one. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix="ANALYSIS_")

    # reference: scores itself; http: has the analysis servers behind the two URLs do it
    mode: Literal["reference", "http"] = "reference"
    # between two reports of progress at least: a bar moves smoothly, and each costs `audio` a transaction
    progress_seconds: float = Field(0.25, gt=0)

    # --- ANALYSIS_MODE=reference ---
    # takes scored at the same time; scoring is pure computation, so more than cores only makes each of them slower
    scoring_processes: int = Field(default_factory=_usable_cores, ge=1, le=256)
    # seconds for one take; 120 s of audio, the longest scene, need 10 s on one core, and the machine may be busier
    scoring_timeout: float = Field(60.0, gt=0, le=600)
    # of address space for one process: 260 MiB idle, 330 MiB after 30 s of audio, 490 MiB after 120 s; more for odd files
    scoring_memory_mib: int = Field(768, ge=512)
    # bytes of a recording that is fetched; above what `audio` accepts, so that its limit is the one that people meet
    max_recording_bytes: int = Field(64 * 1024 * 1024, ge=1)
    # seconds that the object store may be silent while a recording is fetched
    fetch_timeout: float = Field(10.0, gt=0)

    # --- ANALYSIS_MODE=http ---
    # what scores whole scenes, and what scores script lines
    http_url: AnyHttpUrl | None = None
    script_http_url: AnyHttpUrl | None = Field(None, validation_alias="SCRIPT_ANALYSIS_HTTP_URL")
    # jobs that both servers have at a time: what they can do at once, beyond that they only get slower
    http_concurrency: int = Field(8, ge=1, le=1000)
    # for an answer; as long as the old platform waited for scenes and for lines
    answer_seconds: float = Field(70.0, gt=0)
    script_answer_seconds: float = Field(30.0, gt=0)
    # from the POST to the webhook, the answer's time included; three attempts fit into a job's ten minutes
    webhook_seconds: float = Field(180.0, gt=0)
    # --- whenever there is one ---
    # what makes scenes of films
    preprocessor_http_url: AnyHttpUrl | None = Field(None, validation_alias="YOUTUBE_PREPROCESSOR_HTTP_URL")
    # the broker under the user that films are for, where that is another than the one that takes are for
    preprocessor_broker_url: SecretStr | None = Field(None, validation_alias="PREPROCESSOR_BROKER_URL")
    # films that it has at a time; each keeps it busy for minutes
    preprocessor_concurrency: int = Field(2, ge=1, le=100)
    # for an answer, which says that it took the film; what it made it posts to the webhook, until the job's deadline
    preprocessor_answer_seconds: float = Field(70.0, gt=0)

    # --- of all servers over HTTP ---
    connect_seconds: float = Field(5.0, gt=0)
    # bytes of an answer; above what `audio` stores, so that its limit is the one that people meet
    max_answer_bytes: int = Field(4 * 1024 * 1024, ge=1)
    # failures in a row that make a server count as down; one that takes no connection is down at once
    breaker_failures: int = Field(5, ge=1)
    # until it is looked at again: a restart takes a second, and a look at a server that is gone costs nothing
    breaker_first_pause: float = Field(1.0, gt=0)
    breaker_longest_pause: float = Field(30.0, gt=0)

    @model_validator(mode="after")
    def _bridge_leads_somewhere(self) -> Self:
        if self.mode == "http":
            servers = {"ANALYSIS_HTTP_URL": self.http_url, "SCRIPT_ANALYSIS_HTTP_URL": self.script_http_url}
            if missing := [name for name, url in servers.items() if url is None]:
                raise ValueError(f"ANALYSIS_MODE=http needs {' and '.join(missing)}")
        return self
