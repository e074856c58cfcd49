"""What the endpoints are given."""

from typing import Annotated

from fastapi import Depends, Request

from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.settings import AudioSettings
from services.audio.uploads import UploadService


def _jobs(request: Request) -> JobService:
    jobs: JobService = request.app.state.jobs
    return jobs


def _uploads(request: Request) -> UploadService:
    uploads: UploadService = request.app.state.uploads
    return uploads


def _scripts(request: Request) -> ScriptService:
    scripts: ScriptService = request.app.state.scripts
    return scripts


def _settings(request: Request) -> AudioSettings:
    settings: AudioSettings = request.app.state.settings
    return settings


Jobs = Annotated[JobService, Depends(_jobs)]
Uploads = Annotated[UploadService, Depends(_uploads)]
Scripts = Annotated[ScriptService, Depends(_scripts)]
Limits = Annotated[AudioSettings, Depends(_settings)]
