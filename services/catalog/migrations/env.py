from libs.common.migrations import run_env
from services.catalog.models import METADATA

run_env(METADATA)
