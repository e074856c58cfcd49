"""`python -m services.audio` serves until SIGTERM."""

from libs.common.web.server import run
from services.audio.main import build
from services.audio.settings import AudioSettings

run("audio", AudioSettings, build)
