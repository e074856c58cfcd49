"""`python -m services.gateway` serves until SIGTERM."""

from libs.common.web.server import run
from services.gateway.main import build
from services.gateway.settings import GatewaySettings

run("gateway", GatewaySettings, build)
