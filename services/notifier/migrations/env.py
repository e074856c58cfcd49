from libs.common.migrations import run_env
from services.notifier.models import METADATA

run_env(METADATA)
