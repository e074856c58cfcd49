"""Makes `catalog.json`, `reference/` and `takes/`: `python -m samples.generate` (needs Debian's package `flite`).

The texts are in the public domain and the voices are synthetic. The "actor" of a line is one voice, the learner's take of
it another one, slowed or hurried to the actor's pace. flite says exactly when it speaks which phone, so the word times
are exact. Running it again gives the same bytes.
"""

import io
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import soundfile

from services.analysis.scoring import features, pitch, quality
from services.analysis.scoring.decode import SAMPLE_RATE, decode
from services.analysis.scoring.types import Samples

FOLDER: Final = Path(__file__).parent
LEAD_IN: Final = 0.1
"""Seconds of silence before the first word of a take; a person needs about as long after the cue."""
PAUSE_BETWEEN_LINES: Final = 0.6
PITCH_STEP: Final = 2
"""Every second value of the pitch track (20 ms) is kept, which is as fine as a screen shows it."""
LONGEST_CHANGE_OF_PACE: Final = 1.25


@dataclass(frozen=True)
class Line:
    """What is said in the original and how the subtitles say it in Korean."""

    text: str
    translation: str


@dataclass(frozen=True)
class Scene:
    """A clip with one actor; `voice` and `learner` are flite voices, `start` is seconds into the film."""

    name: str
    actor: int
    category: str
    video: str
    start: float
    voice: str
    learner: str
    lines: tuple[Line, ...]


ACTORS: Final[list[dict[str, Any]]] = [
    {"id": 1, "name": "Ellen Terry", "aliases": ["엘런 테리", "Dame Ellen Terry", "엘렌 테리"]},
    {"id": 2, "name": "Abraham Lincoln", "aliases": ["에이브러햄 링컨", "링컨", "Abe Lincoln"]},
    {"id": 3, "name": "William Gillette", "aliases": ["윌리엄 질레트", "질레트", "Gillette"]},
]
SCENES: Final = (
    Scene(
        name="Romeo and Juliet, Act 2 Scene 2",
        actor=1,
        category="로맨스",
        video="yousync0001",
        start=12.0,
        voice="slt",
        learner="rms",
        lines=(
            Line("What's in a name? That which we call a rose", "이름이 무슨 소용인가요? 우리가 장미라 부르는 그것은"),
            Line("by any other name would smell as sweet.", "다른 이름으로 불러도 똑같이 향기로울 텐데."),
            Line("Good night, good night! Parting is such sweet sorrow.", "안녕, 안녕히! 이별은 이토록 달콤한 슬픔이군요."),
        ),
    ),
    Scene(
        name="The Gettysburg Address",
        actor=2,
        category="드라마",
        video="yousync0002",
        start=4.5,
        voice="awb",
        learner="slt",
        lines=(
            Line("Four score and seven years ago our fathers brought forth", "여든하고도 일곱 해 전, 우리의 선조들은"),
            Line("on this continent a new nation, conceived in liberty,", "자유를 품은 새 나라를 이 대륙에 세웠습니다."),
            Line(
                "and dedicated to the proposition that all men are created equal.",
                "모든 사람은 평등하게 창조되었다는 믿음에 바쳐진 나라를.",
            ),
        ),
    ),
    Scene(
        name="The Return of Sherlock Holmes",
        actor=3,
        category="액션",
        video="yousync0003",
        start=31.2,
        voice="slt",
        learner="rms",
        lines=(
            Line("Come, Watson, come! The game is afoot.", "가세, 왓슨, 어서! 게임은 시작됐네."),
            Line("When you have eliminated the impossible,", "불가능한 것을 모두 지우고 나면,"),
            Line("whatever remains must be the truth.", "남는 것이 바로 진실일 수밖에 없네."),
        ),
    ),
)


@dataclass(frozen=True)
class Speech:
    """One synthesised line: samples at 16 kHz and the (start, end) of each word in seconds from the first sample."""

    samples: Samples
    words: list[tuple[float, float]]

    @property
    def length(self) -> float:
        return self.words[-1][1] - self.words[0][0]


def synthesise(text: str, voice: str, stretch: float = 1.0) -> Speech:
    """`text` in a flite voice, `stretch` times as long as the voice would take by itself."""
    wav, phones = _flite(text, voice, stretch)
    phones_of_word = [len(_spoken(_flite(re.sub(r"[^A-Za-z']", "", word), voice)[1])) for word in text.split()]
    spoken = _spoken(phones)
    if sum(phones_of_word) != len(spoken):
        raise ValueError(f"flite says {text!r} with other phones in the line than word by word")
    words, used = [], 0
    for count in phones_of_word:
        words.append((spoken[used][0], spoken[used + count - 1][1]))
        used += count
    return Speech(decode(wav).samples, words)


def _flite(text: str, voice: str, stretch: float = 1.0) -> tuple[bytes, list[tuple[str, float]]]:
    with TemporaryDirectory() as folder:
        wav = Path(folder, "speech.wav")
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}", "-psdur", "-t", text, "-o", str(wav)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        pairs = (item.rsplit(":", 1) for item in printed.split())
        return wav.read_bytes(), [(phone, float(end)) for phone, end in pairs]


def _spoken(phones: list[tuple[str, float]]) -> list[tuple[float, float]]:
    starts = [0.0, *(end for _, end in phones)]
    return [(start, end) for start, (phone, end) in zip(starts, phones, strict=False) if phone != "pau"]


def catalogue() -> tuple[dict[str, Any], dict[str, Samples]]:
    """The catalogue in the import format, and the recordings by path below this folder, without `.flac`."""
    tables: dict[str, Any] = {
        "users": [{"id": 1, "email": "alice@example.org", "full_name": "Alice Kim"}],
        "actors": ACTORS,
        **{name: [] for name in ("urls", "tokens", "token_actors", "scripts", "words")},
        "pitch": {},
    }
    recordings: dict[str, Samples] = {}
    for token_id, scene in enumerate(SCENES, start=1):
        _add_scene(tables, recordings, token_id, scene)
    rng = np.random.default_rng(1)
    recordings["takes/silence"] = np.zeros(2 * SAMPLE_RATE, np.float32)
    recordings["takes/noise"] = (0.05 * rng.standard_normal(2 * SAMPLE_RATE)).astype(np.float32)
    return tables, recordings


def _add_scene(tables: dict[str, Any], recordings: dict[str, Samples], token_id: int, scene: Scene) -> None:
    actor = ACTORS[scene.actor - 1]["name"]
    url, pitch_key = f"https://www.youtube.com/watch?v={scene.video}", f"{actor}/{scene.video}/1/pitch.json"
    melody: list[dict[str, float | None]] = []
    clock = scene.start
    for line in scene.lines:
        original = synthesise(line.text, scene.voice)
        begin = clock - original.words[0][0]  # the line starts where its first word does
        script_id = _add_line(tables, token_id, line, original, begin)
        melody += _melody(original, begin)
        clock = begin + original.words[-1][1] + PAUSE_BETWEEN_LINES
        recordings[f"reference/script-{script_id}"] = original.samples[round(original.words[0][0] * SAMPLE_RATE) :]
        recordings[f"takes/script-{script_id}"] = _take(line.text, scene.learner, original)
    tables["pitch"][pitch_key] = melody
    tables["urls"].append({"id": token_id, "youtube_url": url})
    tables["token_actors"].append({"token_id": token_id, "actor_id": scene.actor})
    tables["tokens"].append(
        {
            "id": token_id,
            "token_name": scene.name,
            "actor_name": actor,
            "category": scene.category,
            "start_time": scene.start,
            "end_time": round(clock, 2),
            "s3_textgrid_url": None,
            "s3_pitch_url": pitch_key,
            "s3_bgvoice_url": None,
            "thumbnail_url": None,
            "youtube_url": url,
            "view_count": 0,
        }
    )


def _add_line(tables: dict[str, Any], token_id: int, line: Line, original: Speech, begin: float) -> int:
    script_id = len(tables["scripts"]) + 1
    cepstra = features.mfcc(quality.levelled(original.samples))
    for word, (start, end) in zip(line.text.split(), original.words, strict=True):
        frames = slice(round(start / features.HOP_SECONDS), round(end / features.HOP_SECONDS))
        tables["words"].append(
            {
                "id": len(tables["words"]) + 1,
                "script_id": script_id,
                "start_time": round(begin + start, 3),
                "end_time": round(begin + end, 3),
                "word": word,
                "probability": 1.0,
                "mfcc": [[round(float(c), 2) for c in row] for row in cepstra[frames]],
            }
        )
    tables["scripts"].append(
        {
            "id": script_id,
            "token_id": token_id,
            "start_time": round(begin + original.words[0][0], 3),
            "end_time": round(begin + original.words[-1][1], 3),
            "script": line.text,
            "translation": line.translation,
        }
    )
    return script_id


def _melody(original: Speech, begin: float) -> list[dict[str, float | None]]:
    hz = pitch.track(quality.levelled(original.samples))[::PITCH_STEP]
    step = PITCH_STEP * pitch.HOP_SECONDS
    return [{"time": round(begin + i * step, 2), "hz": round(float(f), 1) or None} for i, f in enumerate(hz)]


def _take(text: str, voice: str, original: Speech) -> Samples:
    """The learner's take: another voice at the actor's pace, cut so that it begins `LEAD_IN` before the first word."""
    own_pace = synthesise(text, voice).length
    stretch = original.length / own_pace
    take = synthesise(text, voice, min(LONGEST_CHANGE_OF_PACE, max(1 / LONGEST_CHANGE_OF_PACE, stretch)))
    start = max(0, round((take.words[0][0] - LEAD_IN) * SAMPLE_RATE))
    return take.samples[start : round((take.words[-1][1] + LEAD_IN) * SAMPLE_RATE)]


def flac(samples: Samples) -> bytes:
    """16-bit FLAC at 16 kHz."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def main() -> None:
    tables, recordings = catalogue()
    (FOLDER / "catalog.json").write_text(_one_row_a_line(tables), encoding="utf-8")
    for name, samples in recordings.items():
        file = FOLDER / f"{name}.flac"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(flac(samples))


def _one_row_a_line(tables: dict[str, Any]) -> str:
    """JSON that a person can search and a diff can show."""

    def compact(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    parts = []
    for name, rows in tables.items():
        items = [f"{compact(k)}:{compact(v)}" for k, v in rows.items()] if isinstance(rows, dict) else map(compact, rows)
        opening, closing = "{}" if isinstance(rows, dict) else "[]"
        parts.append(f'"{name}":{opening}\n' + ",\n".join(items) + f"\n{closing}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
