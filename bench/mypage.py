"""What does my page cost, and does it grow with what others do? Somebody who practised 20 scenes, as one of few and of many.

Two fleets, asked in turns: one where nobody else is, one with 100,000 scenes and a recording, a result and a bookmark of others
for every line. The second also without its gateway, where one service has the answer alone. Everything is on this machine.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import asyncpg
import uvloop

from bench.api import Asking, Site, fill, head, until_answering
from tests.e2e.platforms import Fleet
from yousync.client import Client
from yousync.options import Options
from yousync.stores import find_stores

PRACTISED = 20  # scenes of whoever looks, three lines each
LINES = 3  # of a scene
SCENES_OF_ANOTHER = 20
OWNERS = {
    "audio": ("/api/mypage/my-dubbed-tokens", "/api/mypage/tokens/7/analysis-status", "/api/score/me/average"),
    "catalog": ("/api/mypage/bookmarks",),
}

_COPIES = """
INSERT INTO tokens (id, version, deleted, token_name, actor_name, start_time, end_time, category, youtube_url)
SELECT n, n, false, 'Scene ' || n, 'Tom Hardy', 10, 40, '액션', 'https://www.youtube.com/watch?v=' || n
  FROM generate_series(1, $1::int) AS n
"""
_LINES = f"""
INSERT INTO scripts (id, token_id, version, deleted, start_time, end_time, script, words)
SELECT n, (n - 1) / {LINES} + 1, n, false, 10 + n % 3 * 4, 14 + n % 3 * 4, 'you could leave the', '[]'
  FROM generate_series(1, $1::int * {LINES}) AS n
"""
# Of line n by user $2 when that is not 0, else by one who has as many scenes as anybody.
_TAKES = f"""
INSERT INTO takes (id, user_id, token_id, script_id, object_key, media_type, size, sha256, created_at)
SELECT gen_random_uuid(), CASE $2::int WHEN 0 THEN 1000 + (n - 1) / {LINES * SCENES_OF_ANOTHER} ELSE $2::int END,
       (n - 1) / {LINES} + 1, n, 'takes/' || $2::int || '/' || n, 'audio/wav', 300000, repeat('0', 64),
       now() - n * interval '1 second'
  FROM generate_series(1, $1::int * {LINES}) AS n
"""
_JOBS = """
INSERT INTO jobs (id, kind, take_id, user_id, token_id, script_id, owner_key, turn, state, version, sequence, progress, message,
                  attempt, dispatch_at, deadline, result, score, priority, created_at, updated_at, finished_at)
SELECT replace(id::text, '-', ''), 'line', id, user_id, token_id, script_id, 'user:' || user_id, 0, 'completed', 5, 5, 100, '',
       1, created_at, created_at, $1::json, 0.8, 'high', created_at, created_at, created_at
  FROM takes
"""
_BOOKMARKS = """
INSERT INTO bookmarks (user_id, token_id)
SELECT CASE $2::int WHEN 0 THEN 1000 + n / 20 ELSE $2::int END, n FROM generate_series(1, $1::int) AS n
"""
_WORD = {
    "word": "you",
    "text_status": "pass",
    "time_match": True,
    "overlap_ratio": 0.9,
    "mfcc_similarity": 0.6,
    "word_score": 0.5,
}
_RESULT = json.dumps({"status": "success", "result": {"overall_score": 0.8, "word_analysis": [_WORD] * 8}})


async def practised(platform: Fleet, tokens: int, *, others: bool) -> str:
    """Fill the fleet's databases; the bearer of whoever looks."""
    stores = find_stores(Options(state_dir=platform.state_dir), {})
    async with Client(platform.url) as client:
        bearer = await client.sign_in("bench@example.org")
    headers = {"Authorization": f"Bearer {bearer}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{platform.url}/api/auth/me") as answer:
        user = int((await answer.json())["id"])
    await fill(stores.database_urls["catalog"], tokens)
    catalog = await asyncpg.connect(stores.database_urls["catalog"])
    audio = await asyncpg.connect(stores.database_urls["audio"])
    await audio.execute(_COPIES, tokens)
    await audio.execute(_LINES, tokens)
    for scenes, who in ((PRACTISED, user), (tokens if others else 0, 0)):
        await audio.execute(_TAKES, scenes, who)
        await catalog.execute(_BOOKMARKS, scenes, who)
    await audio.execute(_JOBS, _RESULT)
    for connection in (audio, catalog):
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
    return bearer


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100_000, help="scenes of the large fleet")
    parser.add_argument("--repeats", type=int, default=60, help="timed requests per endpoint and site")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yousync-bench-") as folder, ExitStack() as stack:
        sites, inner = [], {}
        for tokens in (PRACTISED, options.tokens):
            platform = Fleet(Path(folder) / str(tokens))
            stack.callback(platform.stop)
            platform.start()
            bearer = await practised(platform, tokens, others=tokens > PRACTISED)
            sites.append(Site(platform.url, tokens, bearer))
            inner = json.loads((platform.state_dir / "run" / "ports.json").read_text())
        async with aiohttp.ClientSession() as client:
            for site in sites:
                await until_answering(client, site.url)
            gateways = ("alone, through the gateway", "among many, through the gateway")
            head(*gateways)
            await Asking(client, sites, options.repeats).ask("my page", lambda _: "/api/mypage/overview")
            for service, paths in OWNERS.items():
                head(*gateways, f"among many, {service} itself")
                direct = Site(f"http://127.0.0.1:{inner[service]}", options.tokens, sites[-1].bearer)
                for path in paths:
                    await Asking(client, [*sites, direct], options.repeats).ask(path, lambda _, path=path: path)  # type: ignore[misc]


if __name__ == "__main__":
    uvloop.run(main())
