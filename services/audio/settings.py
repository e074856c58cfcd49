"""What can be set from outside, as AUDIO_<NAME>; what all services share stands in libs.common."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import BusSettings, DatabaseSettings, StorageSettings, VerifierSettings
from libs.common.web.internal import AnsweringSettings, CallingSettings
from services.audio.jobs import Lifetimes, Rules


class AudioSettings(DatabaseSettings, BusSettings, StorageSettings, VerifierSettings, AnsweringSettings, CallingSettings):
    """Of the audio service. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix="AUDIO_")
    service = "audio"

    required_in_production = ("catalog_url",)

    # where `catalog` answers: http://host:port or unix:/path/to.sock
    catalog_url: str = Field("http://127.0.0.1:8002", validation_alias="CATALOG_URL")
    # where an analysis server that only speaks HTTP reaches the gateway; the public address when it is not set
    webhook_base_url: str | None = None
    # bucket of the scenes' reference objects, for analysis servers with storage access; our own store when it is not set
    reference_bucket: str | None = None
    # bytes of a recording; five minutes of 44.1 kHz stereo WAV, and a line lasts seconds
    max_upload_bytes: int = Field(50 * 1024 * 1024, ge=1)
    # bytes of all recordings of a batch; the gateway's limit must not be lower
    max_batch_bytes: int = Field(200 * 1024 * 1024, ge=1)
    # recordings in a batch; its answer waits for all of them
    max_batch_files: int = Field(20, ge=1)
    # bytes of a result as JSON; the reference server's have about 60 KB
    max_result_bytes: int = Field(1_000_000, ge=1)
    # a running job that nothing was heard of for this long is given to another server; those report three times as often
    lease_seconds: float = Field(30.0, gt=0)
    # after this a job of a line has failed, whatever it waited for; who waits live has left by then
    job_seconds: float = Field(600.0, gt=0)
    # the same of a whole scene, which may wait behind lines
    token_job_seconds: float = Field(1800.0, gt=0)
    # the same of a recording in a batch, which waits behind everything
    batch_job_seconds: float = Field(6 * 3600.0, gt=0)
    # whether there is a preprocessor: a film that nobody prepares must not be taken
    preprocessing: bool = False
    # after this a film's job has failed; half an hour of film is prepared in less, and several may wait for one server
    film_job_seconds: float = Field(2 * 3600.0, gt=0)
    # a request that no server claims within this goes back to its place in the queue; queues are kept so short that only
    # the loss of all servers takes longer
    claim_seconds: float = Field(120.0, gt=0)
    # unclaimed requests of a priority that are in its work queue even when nothing runs: so many servers, or slots of one,
    # begin at once after a rest, and each claim makes room for more
    unclaimed: int = Field(4, ge=1)
    # whoever waited this long moves one priority up: long for who waits live, short beside a batch's six hours
    ageing_seconds: float = Field(300.0, gt=0)
    # a recording that three servers could not analyse will not be analysed by a fourth
    max_attempts: int = Field(3, ge=1)
    # before attempt 2, 3..: at once, for it was most likely the server; then after its crash loop had time to end
    retry_seconds: tuple[float, ...] = Field((0.0, 15.0), min_length=1)
    # how often overdue jobs are looked for; small beside the lease
    sweep_seconds: float = Field(5.0, gt=0)
    # hours that a recording of nobody and its result are kept after its analysis: who has no account comes back today or never
    anonymous_retention_hours: int = Field(24, ge=1, le=87_600)
    # an Idempotency-Key is remembered this long; clients that retry do so within minutes
    idempotency_seconds: float = Field(24 * 3600.0, gt=0)

    # where browsers reach the recordings; set when the links of STORAGE_URL are for analysis servers only
    public_storage_url: str | None = None
    # dubbings that one replica mixes at the same time; each takes a core for a second or two
    mixing_processes: int = Field(1, ge=1)
    # after this a mixing process is ended; a minute's scene takes about two
    mixing_seconds: float = Field(60.0, gt=0)
    # of address space for one mixing process; that of a minute's scene needs half of it, of five minutes nearly all
    mixing_memory_mib: int = Field(1024, ge=256)
    # a dubbing that three processes could not mix will not be mixed by a fourth
    mixing_attempts: int = Field(3, ge=1)
    # an answer waits this long for its dubbing: below the client's patience of 30, and the gateway's
    dubbing_wait_seconds: float = Field(25.0, gt=0)
    # a dubbing that nothing came of for this long is sent to the queue again when it is asked for; all attempts take less
    dubbing_lost_seconds: float = Field(600.0, gt=0)
    # of a scene; they are clips of 10 to 60 s
    max_dubbing_seconds: float = Field(300.0, gt=0)
    # dubbings of one learner that are not ready; who asks for more waits for one of them
    max_open_dubbings: int = Field(3, ge=1)
    # newest dubbings that are kept of each learner and scene; only the last one is shown
    dubbings_kept: int = Field(3, ge=1)

    # hours that an archive of somebody's data is kept: who asked for it comes back the same day, and it holds everything
    export_retention_hours: int = Field(24, ge=1, le=168)
    # an archive this young is not made anew, however often somebody asks for a fresh one
    export_pause_seconds: float = Field(3600.0, gt=0)
    # who makes an archive and is silent for this long has lost it to another replica
    export_lease_seconds: float = Field(60.0, gt=0)
    # the services and the store that it takes may be away for a minute; an archive that killed three replicas kills no fourth
    export_attempts: int = Field(3, ge=1)
    # bytes of recordings in an archive, the newest first; some 20,000 of them, and a quarter of what the store takes
    max_export_bytes: int = Field(20 * 1024**3, ge=0)

    @property
    def webhook_secret(self) -> bytes:
        """What the key of webhooks is derived from: the secret that signs links already, which production must set."""
        return self.storage_signing_key.get_secret_value().encode()

    @property
    def lifetimes(self) -> Lifetimes:
        """How long jobs may last."""
        seconds = (self.job_seconds, self.token_job_seconds, self.batch_job_seconds, self.film_job_seconds)
        return Lifetimes(*(timedelta(seconds=each) for each in seconds))

    @property
    def rules(self) -> Rules:
        """The state machine's part."""
        return Rules(self.lease_seconds, self.claim_seconds, self.ageing_seconds, self.max_attempts, self.retry_seconds)
