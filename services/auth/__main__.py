"""`python -m services.auth` serves until SIGTERM."""

from libs.common.web.server import run
from services.auth.main import build
from services.auth.settings import AuthSettings

run("auth", AuthSettings, build)
