"""What can be set from outside, as ANALYSIS_<NAME>; what all services share (BROKER_URL, ..) stands in libs.common."""

import os

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import BusSettings


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class AnalysisSettings(BusSettings):
    """Of the reference analysis server."""

    model_config = SettingsConfigDict(env_prefix="ANALYSIS_")

    # takes scored at the same time; scoring is pure computation, so more than cores only makes each of them slower
    scoring_processes: int = Field(default_factory=_usable_cores, ge=1, le=256)
    # seconds for one take; 30 s of audio need 3 s on one core, and the machine may be ten times busier
    scoring_timeout: float = Field(60.0, gt=0, le=600)
    # of address space for one process: 260 MiB idle, 310 MiB after 30 s of audio; the rest is for odd files
    scoring_memory_mib: int = Field(768, ge=512)
    # bytes of a recording that is fetched; above what `audio` accepts, so that its limit is the one that people meet
    max_recording_bytes: int = Field(64 * 1024 * 1024, ge=1)
    # seconds that the object store may be silent while a recording is fetched
    fetch_timeout: float = Field(10.0, gt=0)
    # seconds between two reports of progress at least: a bar moves smoothly, and each costs `audio` a transaction
    progress_seconds: float = Field(0.25, gt=0)
