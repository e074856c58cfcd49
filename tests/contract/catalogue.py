"""The catalogue that these tests ask about, beside the samples: the public contract's own examples."""

from typing import Any

FILM, SHORT_FILM, LONE_FILM = (f"https://www.youtube.com/watch?v=vid0000000{number}" for number in (1, 2, 3))
FIRST, SECOND, SHORT, LONE = 7001, 7002, 7003, 7004  # scenes; the first two are of FILM and of the same actor
LINES = (7001, 7002, 7003)  # of the first scene
SHORT_LINE = 7004
PITCH = [{"time": 10.0, "hz": 181.5}, {"time": 10.02, "hz": None}]
CATEGORY = "액션_100%"
UNKNOWN = 2**31 - 1  # an id that could be and is not


def _scene(number: int, name: str, actor: str, film: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    times = {"start_time": start, "end_time": end}
    return {"id": number, "token_name": name, "actor_name": actor, "youtube_url": film, **times, **more}


DOCUMENT: dict[str, Any] = {
    "urls": [FILM, SHORT_FILM, LONE_FILM],
    "actors": [
        {"id": 701, "name": "Tom Hardy", "aliases": ["톰 하디", "Edward Hardy", "100%_Hardy"]},
        {"id": 702, "name": "Emma Stone", "aliases": ["엠마 스톤"]},
    ],
    "tokens": [
        _scene(
            FIRST,
            "Scene 01",
            "Tom Hardy",
            FILM,
            10.0,
            28.0,
            category=CATEGORY,
            s3_textgrid_url="Tom Hardy/vid00000001/0/scene.TextGrid",
            s3_pitch_url="Tom Hardy/vid00000001/1/pitch.json",
            s3_bgvoice_url="Tom Hardy/vid00000001/1/bgvoice.wav",
            thumbnail_url="https://thumbs.example.org/vid00000001.jpg",
            view_count=37,
        ),
        _scene(SECOND, "Scene 02", "Tom Hardy", FILM, 30.0, 62.0, category=CATEGORY, view_count=41),
        _scene(SHORT, "Scene 03", "Emma Stone", SHORT_FILM, 5.0, 15.5, category="애니메이션", view_count=3),
        _scene(LONE, "Scene 04", "Nobody", LONE_FILM, 5.0, 45.0),
    ],
    "token_actors": [
        {"token_id": FIRST, "actor_id": 701},
        {"token_id": SECOND, "actor_id": 701},
        {"token_id": SHORT, "actor_id": 702},
    ],
    "scripts": [
        {
            "id": LINES[0],
            "token_id": FIRST,
            "start_time": 10.0,
            "end_time": 15.7,
            "script": "you could leave the",
            "translation": "번역 1",
        },
        {"id": LINES[1], "token_id": FIRST, "start_time": 16.0, "end_time": 20.0, "script": "room at once"},
        {"id": LINES[2], "token_id": FIRST, "start_time": 21.0, "end_time": 27.5, "script": "or stay for ever"},
        {"id": SHORT_LINE, "token_id": SHORT, "start_time": 5.0, "end_time": 9.0, "script": "once more"},
    ],
    "words": [
        {"script_id": LINES[0], "start_time": 10.0, "end_time": 11.425, "word": "you", "probability": 0.81},
        {"script_id": LINES[0], "start_time": 11.425, "end_time": 12.85, "word": "could", "probability": 0.9},
        {"script_id": LINES[0], "start_time": 12.85, "end_time": 14.275, "word": "leave"},
        {"script_id": LINES[0], "start_time": 14.275, "end_time": 15.7, "word": "the"},
    ],
    "pitch": {"Tom Hardy/vid00000001/1/pitch.json": PITCH},
}
