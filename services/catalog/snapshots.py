"""Scenes and lines as events carry them, for the copies that other services keep."""

from typing import Any

from services.catalog.repository import Script, Token


def token_fields(token: Token) -> dict[str, Any]:
    """The fields of `TokenSnapshot` and its events."""
    return {
        "token_id": token.id,
        "version": token.version,
        "token_name": token.token_name,
        "actor_name": token.actor_name,
        "start_time": token.start_time,
        "end_time": token.end_time,
        "s3_textgrid_url": token.s3_textgrid_url,
        "s3_pitch_url": token.s3_pitch_url,
        "s3_bgvoice_url": token.s3_bgvoice_url,
        "category": token.category,
        "youtube_url": token.youtube_url,
        "thumbnail_url": token.thumbnail_url,
    }


def script_fields(script: Script) -> dict[str, Any]:
    """The fields of `ScriptSnapshot` and its events. `script` must have been read with its features."""
    return {
        "script_id": script.id,
        "token_id": script.token_id,
        "version": script.version,
        "start_time": script.start_time,
        "end_time": script.end_time,
        "script": script.script,
        "words": [
            {
                "id": word.id,
                "word": word.word,
                "start_time": word.start_time,
                "end_time": word.end_time,
                "probability": word.probability,
                "mfcc": word.mfcc,
            }
            for word in script.words
        ],
    }
