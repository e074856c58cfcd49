from libs.common.migrations import run_env
from services.auth.models import METADATA

run_env(METADATA)
