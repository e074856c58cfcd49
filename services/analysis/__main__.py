"""`python -m services.analysis` serves until SIGTERM."""

from libs.common.web.server import run
from services.analysis.main import build
from services.analysis.settings import AnalysisSettings

run("analysis", AnalysisSettings, build)
