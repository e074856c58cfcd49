"""`python -m services.notifier` serves until SIGTERM."""

from libs.common.web.server import run
from services.notifier.main import build
from services.notifier.settings import NotifierSettings

run("notifier", NotifierSettings, build)
