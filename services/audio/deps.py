"""What the endpoints are given.

Coroutines all: the framework calls a plain function in a thread, and waits for it, which costs more than what is done here.
"""

import hmac
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Header, Request

from services.audio.anonymous import AnonymousEraser
from services.audio.batches import BatchService
from services.audio.dubbings import DubbingService
from services.audio.erasing import Eraser
from services.audio.exports import ExportService
from services.audio.films import FilmService
from services.audio.mypage import PracticeService
from services.audio.scores import ScoreService
from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.settings import AudioSettings
from services.audio.tokens import TokenService
from services.audio.uploads import UploadService
from services.audio.webhooks import WebhookService


async def _jobs(request: Request) -> JobService:
    jobs: JobService = request.app.state.jobs
    return jobs


async def _uploads(request: Request) -> UploadService:
    uploads: UploadService = request.app.state.uploads
    return uploads


async def _scripts(request: Request) -> ScriptService:
    scripts: ScriptService = request.app.state.scripts
    return scripts


async def _tokens(request: Request) -> TokenService:
    tokens: TokenService = request.app.state.tokens
    return tokens


async def _batches(request: Request) -> BatchService:
    batches: BatchService = request.app.state.batches
    return batches


async def _webhooks(request: Request) -> WebhookService:
    webhooks: WebhookService = request.app.state.webhooks
    return webhooks


async def _practice(request: Request) -> PracticeService:
    practice: PracticeService = request.app.state.practice
    return practice


async def _eraser(request: Request) -> Eraser:
    eraser: Eraser = request.app.state.eraser
    return eraser


async def _anonymous(request: Request) -> AnonymousEraser:
    anonymous: AnonymousEraser = request.app.state.anonymous
    return anonymous


async def _films(request: Request) -> FilmService:
    films: FilmService = request.app.state.films
    return films


async def _scores(request: Request) -> ScoreService:
    scores: ScoreService = request.app.state.scores
    return scores


async def _dubbings(request: Request) -> DubbingService:
    dubbings: DubbingService = request.app.state.dubbings
    return dubbings


async def _exports(request: Request) -> ExportService:
    exports: ExportService = request.app.state.exports
    return exports


async def _settings(request: Request) -> AudioSettings:
    settings: AudioSettings = request.app.state.settings
    return settings


async def _client(request: Request, x_forwarded_for: Annotated[str, Header(include_in_schema=False)] = "") -> str:
    """Whoever calls without sign-in, to share the servers fairly with others: a network address that nobody can read back.

    The gateway, the only door, puts the address in place of whatever its client sent. Nothing but a place in a queue hangs
    on it.
    """
    try:
        address = ip_address(x_forwarded_for.strip())
    except ValueError:
        return "anonymous"
    if isinstance(address, IPv6Address):  # a household has 2**64 of them
        address = ip_network((address, 64), strict=False).network_address
    key = (await _settings(request)).webhook_secret
    return f"address:{hmac.digest(key, b'audio client' + address.packed, 'sha256').hex()[:16]}"


Jobs = Annotated[JobService, Depends(_jobs)]
Uploads = Annotated[UploadService, Depends(_uploads)]
Scripts = Annotated[ScriptService, Depends(_scripts)]
Tokens = Annotated[TokenService, Depends(_tokens)]
Batches = Annotated[BatchService, Depends(_batches)]
Webhooks = Annotated[WebhookService, Depends(_webhooks)]
Practising = Annotated[PracticeService, Depends(_practice)]
Scores = Annotated[ScoreService, Depends(_scores)]
Erasing = Annotated[Eraser, Depends(_eraser)]
Anonymous = Annotated[AnonymousEraser, Depends(_anonymous)]
Films = Annotated[FilmService, Depends(_films)]
Dubbings = Annotated[DubbingService, Depends(_dubbings)]
Exports = Annotated[ExportService, Depends(_exports)]
Limits = Annotated[AudioSettings, Depends(_settings)]
Client = Annotated[str, Depends(_client)]
