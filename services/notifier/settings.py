"""Settings of notifier."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import BusSettings, DatabaseSettings
from libs.common.web.internal import AnsweringSettings


class NotifierSettings(DatabaseSettings, BusSettings, AnsweringSettings):
    """From the environment, prefix NOTIFIER_."""

    model_config = SettingsConfigDict(env_prefix="NOTIFIER_")

    # facts handled side by side; each waits for one commit, and those of one job wait for each other anyway
    concurrency: int = Field(16, ge=1, le=200)
    # days that a frame can still be replayed; a job lasts minutes, a browser tab rarely stays open for longer
    retention_days: int = Field(7, ge=1, le=365)
    # seconds between two sweeps of what is older
    sweep_seconds: float = Field(3600.0, gt=0)
