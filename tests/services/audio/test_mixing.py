"""Recordings over a background, as arrays."""

import numpy as np
import pytest

from services.audio.mixing import CEILING, RATE, Mix, Sound
from tests.services.audio.tones import level_of_tone, noise, place_of, tone


def silence(seconds: float, channels: int = 1) -> Sound:
    return np.zeros((channels, round(seconds * RATE)), np.float32)


def test_what_does_not_come_near_the_limit_is_not_changed() -> None:
    mix = Mix(2.0)
    mix.lay_background(tone(2.0))
    assert np.array_equal(mix.finished(), tone(2.0))


def test_a_voice_is_in_the_middle_wherever_it_was_recorded() -> None:
    left = np.concatenate([noise(1.0, 1), silence(1.0)])
    mix = Mix(2.0)
    mix.lay_voice(left, at=0.5, skip=0.0, seconds=1.0)
    sound = mix.finished()
    assert np.array_equal(sound[0], sound[1])
    assert place_of(left, sound)[0] == pytest.approx(0.5, abs=1 / RATE)


def test_of_a_voice_the_asked_part_is_heard_and_its_edges_do_not_click() -> None:
    mix = Mix(3.0)
    mix.lay_voice(np.full((1, 3 * RATE), 0.5, np.float32), at=1.0, skip=0.5, seconds=1.0)
    sound = mix.finished()[0]
    assert not sound[:RATE].any()
    assert not sound[2 * RATE :].any()
    assert sound[RATE + RATE // 2] == 0.5
    assert np.abs(np.diff(sound)).max() < 0.01


def test_what_reaches_out_of_the_scene_is_left_out() -> None:
    voice = noise(2.0, 1)
    mix = Mix(1.0)
    mix.lay_background(tone(5.0))
    mix.lay_voice(voice, at=-0.5, skip=0.0, seconds=2.0)
    sound = mix.finished()
    assert sound.shape == (2, RATE)
    assert place_of(voice[:, RATE // 2 :], sound)[0] == pytest.approx(0.0, abs=1 / RATE)


@pytest.mark.parametrize(("at", "skip", "seconds"), [(0.5, 9.0, 1.0), (2.5, 0.0, 1.0), (-3.0, 0.0, 1.0), (0.0, 0.0, 0.0)])
def test_a_part_of_which_nothing_is_there_changes_nothing(at: float, skip: float, seconds: float) -> None:
    mix = Mix(2.0)
    mix.lay_voice(noise(1.0, 1), at=at, skip=skip, seconds=seconds)
    assert not mix.finished().any()


@pytest.mark.parametrize("channels", [1, 2])
def test_a_background_is_as_loud_in_one_channel_as_in_two(channels: int) -> None:
    mix = Mix(2.0)
    mix.lay_background(tone(1.0, channels=channels))
    sound = mix.finished()
    assert level_of_tone(sound, 0.0, 1.0) == pytest.approx(0.2, rel=1e-3)
    assert not sound[:, RATE:].any()


def test_loud_voices_together_stay_below_the_limit_and_the_rest_as_loud_as_it_was() -> None:
    mix = Mix(4.0)
    mix.lay_background(tone(4.0))
    for seed in (1, 2, 3):
        mix.lay_voice(noise(0.5, seed, level=0.9), at=2.0, skip=0.0, seconds=0.5)
    sound = mix.finished()
    assert np.abs(sound).max() <= CEILING + 1e-6
    assert np.abs(sound[:, 2 * RATE : 5 * RATE // 2]).max() > 0.9 * CEILING
    for begin, end in ((0.0, 1.8), (2.7, 4.0)):
        assert level_of_tone(sound, begin, end) == pytest.approx(0.2, rel=1e-3)


def test_one_click_does_not_make_the_scene_quiet() -> None:
    mix = Mix(2.0)
    mix.lay_background(tone(2.0))
    click = silence(0.1)
    click[0, 2000] = 1.0
    mix.lay_voice(click, at=1.0, skip=0.0, seconds=0.1)
    sound = mix.finished()
    assert np.abs(sound).max() <= CEILING + 1e-6
    assert level_of_tone(sound, 0.0, 0.9) == level_of_tone(tone(2.0), 0.0, 0.9)
