"""Alembic's entry; the rest is shared."""

from libs.common.migrations import run_env
from services.audio.models import METADATA

run_env(METADATA)
