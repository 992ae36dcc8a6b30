"""Drives the games of the `minatar` package and turns what they hold into our structs."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rl_fn.envs.compiled.minatar import asterix, breakout, freeway, grid, seaquest, seaquest_objects, space_invaders
from rl_fn.envs.compiled.minatar.seaquest_objects import Bullets, Divers, Enemies, SubmarineBullets

MODULES: dict[str, ModuleType] = {
    "asterix": asterix,
    "breakout": breakout,
    "freeway": freeway,
    "seaquest": seaquest,
    "space_invaders": space_invaders,
}


class Recorder:
    """A generator that remembers what it gave."""

    def __init__(self, seed: int):
        self.generator, self.drawn = np.random.RandomState(seed), []

    def rand(self, *args: Any) -> Any:
        self.drawn.append(self.generator.rand(*args))
        return self.drawn[-1]

    def randint(self, *args: Any, **kwargs: Any) -> Any:
        self.drawn.append(self.generator.randint(*args, **kwargs))
        return np.copy(self.drawn[-1])  # the games change some of them


class Record(NamedTuple):
    """Steps of one game, stacked over time."""

    before: Any  # our states
    actions: np.ndarray
    decisions: Any
    after: Any
    rewards: np.ndarray
    terminated: np.ndarray
    observations: np.ndarray  # after the step


def words(screen: np.ndarray) -> np.ndarray:
    """A screen of 10 x 10 numbers as ten rows of bits."""
    return ((np.asarray(screen) > 0) << np.arange(grid.SIZE)).sum(axis=-1)


def velocity(is_to_right: bool) -> int:
    return 1 if is_to_right else -1


def asterix_state(env: Any) -> asterix.State:
    entities = [entity or [asterix.ABSENT, 0, True, False] for entity in env.entities]
    return asterix.State(
        env.player_x,
        env.player_y,
        [entity[0] for entity in entities],
        [velocity(entity[2]) for entity in entities],
        [bool(entity[3]) for entity in entities],
        env.spawn_timer,
        env.spawn_speed,
        env.move_timer,
        env.move_speed,
        env.ramp_timer,
        env.ramp_index,
    )


def asterix_decisions(before: asterix.State, drawn: list) -> asterix.Decisions:
    if not drawn:
        return asterix.Decisions(1, False, 0.0)
    free = sum(column == asterix.ABSENT for column in before.column)
    place = (drawn[2] + 0.5) / free if free else 0.5
    return asterix.Decisions(velocity(drawn[0] < 0.5), drawn[1] < 1 / 3, place)


def breakout_state(env: Any) -> breakout.State:
    return breakout.State(
        env.pos,
        env.ball_x,
        env.ball_y,
        velocity(env.ball_dir in (1, 2)),
        velocity(env.ball_dir in (2, 3)),
        env.last_x,
        env.last_y,
        words(env.brick_map),
        env.strike,
    )


def freeway_state(env: Any) -> freeway.State:
    cars = np.array(env.cars)
    assert cars[:, 1].tolist() == freeway.LANES
    return freeway.State(env.pos, env.move_timer, env.terminate_timer, cars[:, 0], cars[:, 2], cars[:, 3])


def freeway_decisions(before: freeway.State, drawn: list) -> np.ndarray:
    return np.where(drawn[1] < 0.5, -1, 1) * drawn[0] if drawn else np.ones(freeway.NUM_CARS, int)


def space_invaders_state(env: Any) -> space_invaders.State:
    return space_invaders.State(
        env.pos,
        words(env.f_bullet_map),
        words(env.e_bullet_map),
        words(env.alien_map),
        env.alien_dir,
        env.enemy_move_interval,
        env.alien_move_timer,
        env.alien_shot_timer,
        env.shot_timer,
    )


def seaquest_state(env: Any) -> seaquest.State:
    """Lists begin with the oldest; ours with the newest, and the kinds of enemies share one."""
    enemies = [[x, y, velocity(d), True, m, s] for x, y, d, m, s in reversed(env.e_subs)]
    enemies += [[x, y, velocity(d), False, m, 0] for x, y, d, m in reversed(env.e_fish)]
    enemies += [[seaquest_objects.GONE, 0, 1, False, 0, 0]] * (seaquest_objects.NUM_ENEMIES - len(enemies))
    bullets = [[x, y, velocity(d)] for x, y, d in reversed(env.f_bullets)]
    bullets += [[seaquest_objects.GONE, 0, 1]] * (seaquest_objects.NUM_BULLETS - len(bullets))
    divers = [[x, y, velocity(d), m] for x, y, d, m in reversed(env.divers)]
    divers += [[seaquest_objects.GONE, 0, 1, 0]] * (seaquest_objects.NUM_DIVERS - len(divers))
    screens = np.zeros((2, grid.SIZE, grid.SIZE))
    for x, y, to_right in env.e_bullets:
        screens[int(not to_right), y, x] = 1
    return seaquest.State(
        env.sub_x,
        env.sub_y,
        velocity(env.sub_or),
        env.oxygen,
        env.diver_count,
        env.surface,
        env.shot_timer,
        env.e_spawn_timer,
        env.e_spawn_speed,
        env.d_spawn_timer,
        env.move_speed,
        env.ramp_index,
        Bullets(*map(np.array, zip(*bullets, strict=True))),
        Enemies(*map(np.array, zip(*enemies, strict=True))),
        SubmarineBullets(*words(screens)),
        Divers(*map(np.array, zip(*divers, strict=True))),
    )


def seaquest_decisions(before: seaquest.State, drawn: list) -> seaquest.Decisions:
    """The timers say what came in."""
    enemy = [drawn[0] < 0.5, drawn[1] < 1 / 3, drawn[2]] if before.spawn_timer == 0 else [True, False, 1]
    diver = drawn[-2:] if before.diver_timer == 0 else [0.0, 1]
    return seaquest.Decisions(velocity(enemy[0]), enemy[1], enemy[2], velocity(diver[0] < 0.5), diver[1])


STATES = {
    "asterix": asterix_state,
    "breakout": breakout_state,
    "freeway": freeway_state,
    "seaquest": seaquest_state,
    "space_invaders": space_invaders_state,
}
# Random play does not get far in these.
SKILLED = {
    "breakout": lambda env: 1 if env.pos > env.ball_x else 3 if env.pos < env.ball_x else 0,
    "freeway": lambda env: 2,
}
DECISIONS = {"asterix": asterix_decisions, "freeway": freeway_decisions, "seaquest": seaquest_decisions}


def play(game: str, num_steps: int, seed: int, hardest: bool = False) -> Record:
    """Plays steps that reach all levels of difficulty; where an episode ends, half of them go on all the same.

    With `hardest`, which is for Seaquest, all of them go on at the highest level.
    """
    rng, recorder = np.random.default_rng(seed), Recorder(seed)
    env = import_module(f"minatar.environments.{game}").Env(ramping=True)
    env.random = recorder
    begin(game, env, rng)
    if hardest:
        env.e_spawn_speed, env.move_speed = 1, 2
    steps, action = [], 0
    for _ in range(num_steps):
        if rng.random() < 0.6:
            action = int(rng.integers(6))
        if rng.random() < 0.7:
            action = SKILLED[game](env) if game in SKILLED else action
        before = STATES[game](env)
        recorder.drawn = []
        reward, terminated = env.act(action)
        decisions = DECISIONS[game](before, recorder.drawn) if game in DECISIONS else ()
        steps.append(Record(before, action, decisions, STATES[game](env), reward, terminated, env.state()))
        if hardest or (terminated and game != "breakout" and rng.random() < 0.5):
            env.terminal = False
            env.oxygen = 200  # only Seaquest looks at it
        elif terminated or rng.random() < 0.005:
            begin(game, env, rng)
    return stack(steps)


def begin(game: str, env: Any, rng: np.random.Generator) -> None:
    """Starts an episode at any level of difficulty, in a state that playing for long can reach."""
    env.reset()
    if game == "asterix":
        env.spawn_speed, env.move_speed = rng.integers(1, 11), rng.integers(1, 6)
        env.ramp_index, env.ramp_timer = rng.integers(20), rng.integers(-1, 101)
        env.player_x = rng.integers(10)
    elif game == "breakout":
        env.brick_map *= rng.random((10, 10)) < rng.choice([0.0, 0.1, 0.5, 1.0])
        env.pos = rng.integers(10)
    elif game == "freeway":
        env.pos, env.terminate_timer = rng.integers(1, 10), rng.integers(2500)
    elif game == "seaquest":
        env.e_spawn_speed, env.move_speed = rng.integers(1, 21), rng.integers(2, 6)
        env.ramp_index, env.diver_count = rng.integers(40), rng.integers(-1, 7)
        env.sub_x, env.sub_y = rng.integers(1, 9), rng.integers(9)
    else:
        env.enemy_move_interval = rng.integers(6, 13)
        env.alien_map = np.roll(env.alien_map, (rng.integers(6), rng.integers(-2, 3)), (0, 1))
        keep = rng.random((10, 10)) < rng.choice([0.1, 0.5, 1.0])
        if np.any(env.alien_map * keep):
            env.alien_map *= keep


def stack(steps: list) -> Any:
    """A list of nests as one nest of arrays."""
    first = steps[0]
    if isinstance(first, tuple):
        parts = [stack(list(column)) for column in zip(*steps, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    array = np.array(steps)
    return array.astype({"i": np.int32, "u": np.int32, "f": np.float32, "b": bool}[array.dtype.kind])
