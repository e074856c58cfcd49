"""`python -m services.catalog` serves until SIGTERM."""

from libs.common.web.server import run
from services.catalog.main import build
from services.catalog.settings import CatalogSettings

run("catalog", CatalogSettings, build)
