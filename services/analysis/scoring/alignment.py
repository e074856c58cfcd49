r"""Where each word of the script is in the recording, if it is there at all: Viterbi search over a graph of phones.

    gap --> word 1, any of its variants --> gap --> word 2 --> ... --> gap
     \______________ skip ________________/ ^

Between words stands a gap that absorbs silence and, at a price per frame, any other sound, so that "uhm" or a wrong
word does not spoil its neighbours; a word may be skipped at a price, so that a missing one does not drag the others
out of place. Scores are natural logarithms. After Graves 2006 (CTC) and Witt & Young 2000 (goodness of pronunciation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.analysis.scoring.acoustic import AcousticModel
from services.analysis.scoring.pronunciation import Variant, similarity
from services.analysis.scoring.types import LogPosteriors, Vector

# The four prices were set by trial on real sentences, each aligned with its own text and with wrong ones.
OTHER_SOUND_PENALTY: Final = 3.0
"""Nats per frame for sound in a gap, below the best token of the frame."""
WRONG_PHONE_PENALTY: Final = 6.0
"""Nats per frame for any sound in place of a phone: no single misheard frame can forbid a path."""
SKIPPED_WORD_PENALTY: Final = 9.0
"""Nats per word of the script that is not said."""
NO_PAUSE_PENALTY: Final = 0.5
"""Nats for going from word to word without a frame between them; CTC nearly always emits one."""

_GAP: Final = -1
_PAUSE: Final = -2
_IMPOSSIBLE: Final = -1e9


@dataclass(frozen=True, slots=True)
class AlignedPhone:
    """A phone of the script; `peak` 0..1: its highest posterior (with credit for similar phones) in its frames."""

    token: int
    peak: float


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word of the script that is in the recording: frames [start, end) of 20 ms, and its phones."""

    start: int
    end: int
    phones: tuple[AlignedPhone, ...]


@dataclass(frozen=True, slots=True)
class Alignment:
    """One entry per word of the script, None for one that was skipped or has no pronunciation."""

    words: tuple[AlignedWord | None, ...]
    log_ratio: float
    """Nats per frame that the best path through the script lies below the best path through anything; 0 is perfect.

    What skipped words cost is not counted: they fail anyway, and with it the words that were said would fail too when
    somebody stops half-way (97 % of them pass so, 10 % otherwise; wrong words pass equally seldom)."""


@dataclass(frozen=True, slots=True)
class _State:
    token: int
    """A token of the model, or _GAP, or _PAUSE (blank between two phones of a word)."""
    word: int
    variant: int
    phone: int


class _Graph:
    """States in topological order with their predecessors; every state also follows itself."""

    def __init__(self, words: Sequence[Sequence[Variant]]) -> None:
        self.states: list[_State] = []
        self._before: list[list[tuple[int, float]]] = []
        gap = self._add(_GAP)
        self.first = [gap]
        last_phones: list[int] = []
        for number, variants in enumerate(words):
            if not variants:
                continue
            ends = [self._add_variant(number, v, phones) for v, phones in enumerate(variants)]
            heads, tails = [head for head, _ in ends], [tail for _, tail in ends]
            for head in heads:
                self._follow(head, gap)
                for tail in last_phones:
                    if self.states[tail].token != self.states[head].token:  # CTC merges equal neighbours into one
                        self._follow(head, tail, -NO_PAUSE_PENALTY)
            if len(self.first) == 1:
                self.first += heads
            next_gap = self._add(_GAP)
            for tail in tails:
                self._follow(next_gap, tail)
            self._follow(next_gap, gap, -SKIPPED_WORD_PENALTY)
            gap, last_phones = next_gap, tails
        self.last = [gap, *last_phones]

    def _add(self, token: int, word: int = -1, variant: int = 0, phone: int = 0) -> int:
        self.states.append(_State(token, word, variant, phone))
        number = len(self.states) - 1
        self._before.append([(number, 0.0)])
        return number

    def _follow(self, state: int, before: int, score: float = 0.0) -> None:
        self._before[state].append((before, score))

    def _add_variant(self, word: int, variant: int, phones: Variant) -> tuple[int, int]:
        """States of one way to say a word; returns its first and its last phone."""
        head = last = self._add(phones[0], word, variant, 0)
        for number, token in enumerate(phones[1:], start=1):
            pause = self._add(_PAUSE, word, variant, number - 1)
            state = self._add(token, word, variant, number)
            self._follow(pause, last)
            self._follow(state, pause)
            if token != self.states[last].token:
                self._follow(state, last)
            last = state
        return head, last

    def predecessors(self) -> tuple[NDArray[np.int64], Vector]:
        """(states, most predecessors of any) numbers and scores, padded with impossible ones."""
        width = max(len(before) for before in self._before)
        numbers = np.zeros((len(self.states), width), np.int64)
        scores = np.full((len(self.states), width), _IMPOSSIBLE)
        for state, before in enumerate(self._before):
            for column, (number, score) in enumerate(before):
                numbers[state, column], scores[state, column] = number, score
        return numbers, scores


class Aligner:
    """Aligns scripts to the output of one acoustic model."""

    def __init__(self, model: AcousticModel) -> None:
        self._blank, self._boundary = model.blank, model.boundary
        self._credit = similarity(model.index)

    def align(self, log_posteriors: LogPosteriors, words: Sequence[Sequence[Variant]]) -> Alignment:
        """The best path of the script `words` (ways to say each) through the recording."""
        graph = _Graph(words)
        path, score = _viterbi(*self._emissions(log_posteriors, graph.states), graph)
        if score < _IMPOSSIBLE / 2:  # fewer frames than even skipping every word takes
            return Alignment((None,) * len(words), -np.inf)
        found = self._words(log_posteriors, words, graph, path)
        skipped = sum(word is None and bool(variants) for word, variants in zip(found, words, strict=True))
        free = float(log_posteriors.max(axis=1).sum())
        return Alignment(found, (score + skipped * SKIPPED_WORD_PENALTY - free) / len(log_posteriors))

    def _emissions(self, log_posteriors: LogPosteriors, states: Sequence[_State]) -> tuple[Vector, NDArray[np.int64]]:
        """(frames, columns): the score of each token that occurs in each frame; (states,): the column of each state."""
        best = log_posteriors.max(axis=1)
        silence = np.maximum(log_posteriors[:, self._blank], log_posteriors[:, self._boundary])
        columns = {
            _GAP: np.maximum(silence, best - OTHER_SOUND_PENALTY),
            _PAUSE: np.maximum(log_posteriors[:, self._blank], best - WRONG_PHONE_PENALTY),
        }
        for token in {state.token for state in states} - columns.keys():
            alike = np.flatnonzero(self._credit[token])
            heard = (log_posteriors[:, alike] + np.log(self._credit[token, alike])).max(axis=1)
            columns[token] = np.maximum(heard, best - WRONG_PHONE_PENALTY)
        place = {token: column for column, token in enumerate(columns)}
        return np.stack(list(columns.values()), axis=1), np.array([place[state.token] for state in states])

    def _words(
        self, log_posteriors: LogPosteriors, words: Sequence[Sequence[Variant]], graph: _Graph, path: NDArray[np.int64]
    ) -> tuple[AlignedWord | None, ...]:
        word_of = np.array([state.word for state in graph.states])[path]
        phone_of = np.array([state.phone for state in graph.states])[path]
        found: list[AlignedWord | None] = []
        for number, variants in enumerate(words):
            frames = np.flatnonzero(word_of == number)
            if not len(frames):
                found.append(None)
                continue
            variant = variants[graph.states[path[frames[0]]].variant]
            posteriors = np.exp(log_posteriors[frames])
            phones = []
            for position, token in enumerate(variant):
                heard = np.minimum(posteriors[phone_of[frames] == position] @ self._credit[token], 1.0)
                phones.append(AlignedPhone(token, float(heard.max())))
            found.append(AlignedWord(int(frames[0]), int(frames[-1]) + 1, tuple(phones)))
        return tuple(found)


def _viterbi(emissions: Vector, column: NDArray[np.int64], graph: _Graph) -> tuple[NDArray[np.int64], float]:
    """The best path (one state per frame) and its score."""
    numbers, scores = graph.predecessors()
    frames, states = len(emissions), len(column)
    rows = np.arange(states)
    choices = np.zeros((frames, states), np.uint8)  # one byte a cell: whole scenes have thousands of states
    total = np.full(states, _IMPOSSIBLE)
    total[graph.first] = emissions[0, column[graph.first]]
    for frame in range(1, frames):
        candidates = total[numbers] + scores
        best = candidates.argmax(axis=1)
        choices[frame] = best
        total = candidates[rows, best] + emissions[frame, column]
    state = max(graph.last, key=lambda s: float(total[s]))
    score = float(total[state])
    path = np.zeros(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state = int(numbers[state, choices[frame, state]])
    return path, score
