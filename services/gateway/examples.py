"""Examples for the API document: what each word of the platform looks like, said once for all services.

A schema's own example counts first; else one is put together of its properties' examples, so that a new answer made of known
words shows itself.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_JOB = "36f6a40f6d8547f7a9463ea6d82e58ce"
_TIME = "2026-11-23T03:42:29.250661Z"
_SIGNED = "https://storage.example.org/{}?expires=1795405349&signature=8f3a.."
_ANALYSIS: Final = {
    "status": "success",
    "result": {
        "overall_score": 0.82,
        "word_analysis": [
            {
                "word": "you",
                "text_status": "pass",
                "time_match": True,
                "overlap_ratio": 0.91,
                "mfcc_similarity": 0.6,
                "word_score": 0.55,
            }
        ],
        "summary": {
            "text_accuracy": 0.9,
            "time_accuracy": 0.95,
            "mfcc_average": 0.74,
            "total_words": 4,
            "passed_words": 3,
            "time_matched_words": 4,
        },
    },
}

# By "Schema.property", or by the name of the property or parameter alone.
WORDS: Mapping[str, Any] = MappingProxyType(
    {
        "access_token": "eyJhbGciOiJFZDI1NTE5IiwidHlwIjoiSldUIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "id_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJnLTEifQ.c2lnbmF0dXJl",
        "refresh_token": "q3Zs0F5c9bJm2w",
        "expires_in": 900,
        "code": "Kf2n8sPq",
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "session_id": "36f6a40f6d8547f7a9463ea6d82e58ce",
        "Session.id": "36f6a40f6d8547f7a9463ea6d82e58ce",
        "device": "Firefox 144, Linux",
        "network": "203.0.113.0",
        "last_used_at": _TIME,
        "expires_at": _TIME,
        "current": True,
        "token_type": "bearer",
        "email": "alice@example.org",
        "google_id": "g-1",
        "full_name": "Alice Kim",
        "profile_picture": "https://pics.example.org/a.png",
        "is_active": True,
        "is_admin": False,
        "admin": False,
        "admin_by": None,
        "Why.reason": "불쾌한 프로필 이름",
        "act": "signed_in",
        "at": _TIME,
        "mine": True,
        "times": 1,
        "login_type": "google",
        "user_id": 1,
        "keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "use": "sig", "kid": "n8-O5_DQ", "x": "11qYAYKxCrfV"}],
        "id": 1,
        "name": "Tom Hardy",
        "actor_name": "Tom Hardy",
        "movie_name": "The Dark Knight Rises",
        "query": "하디",
        "category": "액션",
        "token_id": 1,
        "token_ids": [1],
        "token_name": "Scene 01",
        "start_time": 10.0,
        "end_time": 28.0,
        "s3_textgrid_url": "Tom Hardy/vid00000001/0/scene.TextGrid",
        "s3_pitch_url": "Tom Hardy/vid00000001/1/pitch.json",
        "s3_bgvoice_url": "Tom Hardy/vid00000001/1/bgvoice.wav",
        "thumbnail_url": "https://thumbs.example.org/vid00000001.jpg",
        "youtube_url": "https://www.youtube.com/watch?v=vid00000001",
        "scene_title": "Scene 01",
        "view_count": 37,
        "bgvoice_url": _SIGNED.format("bgvoice.wav"),
        "pitch": [{"time": 10.0, "hz": 181.5}, {"time": 10.02, "hz": None}],
        "script": "you could leave the",
        "script_text": "you could leave the",
        "script_id": 1,
        "translation": "번역 1",
        "word": "you",
        "probability": 0.81,
        "Script.end_time": 15.7,
        "Word.end_time": 11.425,
        "exists": True,
        "job_id": _JOB,
        "job_ids": [_JOB],
        "files": ["(binary)"],
        "status": "completed",
        "state": "completed",
        "kind": "line",
        "progress": 100,
        "message": "분석 완료",
        "result": _ANALYSIS,
        "reason": None,
        "attempt": 1,
        "max_attempts": 3,
        "queue_position": None,
        "estimated_wait_seconds": None,
        "retry_of": None,
        "retried_as": None,
        "created_at": _TIME,
        "updated_at": _TIME,
        "started_at": _TIME,
        "finished_at": _TIME,
        "deadline": _TIME,
        "date": _TIME,
        "last_dubbed_at": _TIME,
        "total_files": 1,
        "total_jobs": 1,
        "failed": 0,
        "in_progress": 0,
        "overall_progress": 100.0,
        "sqs_enabled": True,
        "queue_url": "analysis.work.normal",
        "messages_available": 3,
        "messages_in_flight": 1,
        "BatchAccepted.message": "1개 파일 배치 처리 시작",
        "BatchSummary.completed": 1,
        "QueueStatus.status": "success",
        "TokenUploadAccepted.status": "processing",
        "UploadAccepted.status": "processing",
        "FilmAccepted.status": "processing",
        "FilmAccepted.message": "영상 처리를 시작합니다.",
        "FilmAccepted.token_id": None,
        "FilmState.result": {"token_ids": [1]},
        "FilmState.message": "영상 처리 완료",
        "ticket": "0f3c9a…",
        "task_id": "7",
        "has_analysis": True,
        "has_result": True,
        "ScriptWithoutResult.has_result": False,
        "total_scripts": 3,
        "completed_scripts": 3,
        "average_score": 0.82,
        "score": 0.82,
        "recording_count": 12,
        "Deleted.detail": "Token deleted successfully",
        "Done.detail": "상태가 변경되었습니다.",
        "url": _SIGNED.format("recording.wav"),
        "dubbing_audio_url": _SIGNED.format("dubbing.m4a"),
        "ExportReady.url": _SIGNED.format("yousync-20261123.zip"),
        "ExportReady.size": 31_457_280,
        "made_at": _TIME,
        "background": True,
        "Synthesized.status": "success",
        "Synthesized.message": "합성 및 업로드 완료",
        "total_bookmarks": 1,
        "total_dubbed_tokens": 1,
        "total_practice_count": 4,
        "average_completion_rate": 0.82,
        "unavailable": [],
        "actor": "Tom Hardy",
        "content": "마지막 장면을 올려 주세요",
        "requester": "Alice Kim",
        "VideoRequest.status": "심사중",
        "VideoRequest.url": "https://youtu.be/vid00000001",
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "removed": 0,
        "ignored": [],
        "aliases": {"created": 1, "updated": 0, "unchanged": 0, "removed": 0},
        "key": "user_audio/1/1/1.wav",
        "expires": "1795405349",
        "signature": "8f3a9c",
    }
)


def word(name: str) -> Any:
    """What `name` looks like, which is a property or parameter, with or without its schema's name and a point; or None."""
    return WORDS.get(name, WORDS.get(name.rpartition(".")[2]))


class NoExample(LookupError):
    """A word that nobody has shown yet; the message names it."""


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value as `schema` has it, which is called `name`; `schemas` are those that it may refer to. Raises `NoExample`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = schemas[name]
    for given in ("example", "const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    if schema.get("examples"):
        return _whole(schema["examples"][0], schema, schemas)
    if name in WORDS or name.rpartition(".")[2] in WORDS:
        return word(name)
    if schema.get("enum"):
        return schema["enum"][0]
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if schema.get(alternatives):
            return example_of(schema[alternatives][0], schemas, name)
    if "properties" in schema:
        named = schema.get("title", name)
        return {each: example_of(value, schemas, f"{named}.{each}") for each, value in schema["properties"].items()}
    if "prefixItems" in schema:
        return [example_of(each, schemas, name) for each in schema["prefixItems"]]
    if "items" in schema:
        return [example_of(schema["items"], schemas, name)]
    raise NoExample(name)


def _whole(example: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """`example` with null where it lacks what must be there: the framework leaves nulls out of what it publishes."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(example, list):
        return [_whole(each, schema.get("items", {}), schemas) for each in example]
    if not isinstance(example, dict):
        return example
    known = schema.get("properties", {})
    lacking = {name: None for name in schema.get("required", ()) if name not in example}
    return {name: _whole(value, known.get(name, {}), schemas) for name, value in {**example, **lacking}.items()}
