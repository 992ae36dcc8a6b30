"""Atari 2600 games with the published preprocessing, through the Arcade Learning Environment. Needs the `atari` extra.

Mnih et al. (2015), "Human-level control through deep reinforcement learning", methods; Machado et al. (2018),
"Revisiting the Arcade Learning Environment: evaluation protocols and open problems for general agents".
Gymnasium's own wrapper is not used: where an episode ends in the middle of skipped frames it returns the observation
of the step before, and after the loss of a life its reset starts another game.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from rl_fn._src import naming
from rl_fn.envs.host.frames import areas, shrunk

if TYPE_CHECKING:
    from rl_fn.envs.host.base import HostEnv
    from rl_fn.envs.host.sub_envs import Backend

_NAME = re.compile(r"(?P<prefix>ALE/)?(?P<game>\w+?)(?P<variant>NoFrameskip|Deterministic)?-(?P<version>v0|v4|v5)")
_STICKY = {"v0": 0.25, "v4": 0.0, "v5": 0.25}  # the probability that the last action is repeated, by version
_EMULATOR_RATE = 60  # frames per second
_TWO_PLAYERS = {"combat", "joust", "maze_craze", "warlords"}


class Name(NamedTuple):
    """What the name of an Atari environment says."""

    game: str  # as the emulator names its ROM, such as "space_invaders"
    sticky: float  # the probability that an action is replaced by the one before


def is_atari(name: str) -> bool:
    """Whether the name has a form that only Atari environments have, such as ALE/Pong-v5 or PongNoFrameskip-v4."""
    match = _NAME.fullmatch(name)
    return bool(match and (match["prefix"] or match["variant"]))


def parse_name(name: str) -> Name:
    """Reads a name: `ALE/Pong-v5`, or one of Gym's old ones: `Pong-v4`, `PongNoFrameskip-v0`, `PongDeterministic-v4`.

    Versions 0 and 5 have sticky actions (Machado et al., 2018, section 5), version 4 has not. What the old names say
    about skipped frames does not matter, because frames are skipped here.

    Raises:
      ValueError: for another form, or a game that the emulator does not know (the message names the nearest), and
        if ale-py is not installed.
    """
    match = _NAME.fullmatch(name)
    if match is None or bool(match["prefix"]) != (match["version"] == "v5") or (match["prefix"] and match["variant"]):
        raise ValueError(
            f"{name!r} is no Atari name, expected such as 'ALE/Pong-v5', 'PongNoFrameskip-v4' or 'Pong-v0'"
        )
    known = games()
    if match["game"] not in known:
        raise ValueError(naming.unknown("Atari game", match["game"], known))
    return Name(known[match["game"]], _STICKY[match["version"]])


def games() -> dict[str, str]:
    """The games for one player, from the names they have in environments to those of their ROMs.

    Raises:
      ValueError: if ale-py is not installed.
    """
    if importlib.util.find_spec("ale_py") is None:
        raise ValueError('Atari games need ale-py, which is not installed: pip install "rl-fn[atari]"')
    from ale_py import roms

    return {rom.title().replace("_", ""): rom for rom in roms.get_all_rom_ids() if rom not in _TWO_PLAYERS}


def atari_env(name: str, num_envs: int | None = None, backend: Backend = "sync", **kwargs: Any) -> HostEnv:
    """Makes a host environment of a game.

    Args:
      name: see `parse_name`.
      num_envs: how many are stepped side by side, 1 unless given.
      backend: see `rl_fn.envs.gymnasium_env`.
      **kwargs: `timeout` and `max_restarts` (see `gymnasium_env`), and what `make_atari` takes.

    Raises:
      ValueError: as `make_atari` and `gymnasium_env`.
    """
    from rl_fn.envs.host.sub_envs import SubEnvs, checked_count, split

    parse_name(name)
    fleet, arguments = split(kwargs)
    full_name = name if is_atari(name) else f"atari:{name}"
    factory = partial(make_atari, name, **arguments)
    return SubEnvs(full_name, [factory] * checked_count(num_envs), backend, **fleet)


def make_atari(name: str, *, evaluation: bool = False, sticky: float | None = None, **kwargs: Any) -> AtariEnv:
    """Makes one Atari environment.

    Args:
      name: see `parse_name`.
      evaluation: play whole games on raw scores, whatever `episodic_life` and `clip_rewards` say.
      sticky: the probability of sticky actions, that of the name unless given.
      **kwargs: see AtariEnv.

    Raises:
      ValueError: for an unknown name, or an impossible argument, and if ale-py is not installed.
    """
    game, default_sticky = parse_name(name)
    if evaluation:
        kwargs.update(episodic_life=False, clip_rewards=False)
    return AtariEnv(game, sticky=default_sticky if sticky is None else sticky, **kwargs)


def is_envpool_game(task: str) -> bool:
    """Whether a task of EnvPool, such as `Pong-v5`, is an Atari game."""
    if importlib.util.find_spec("envpool") is None:
        return False
    importlib.import_module("envpool")  # registers its tasks
    tasks = importlib.import_module("envpool.registration").registry.specs
    return task in tasks and tasks[task][0] == "envpool.atari"


def envpool_arguments(
    *, evaluation: bool = False, episodic_life: bool = False, clip_rewards: bool = True, **kwargs: Any
) -> dict[str, Any]:
    """The arguments that give EnvPool's Atari the preprocessing of `make_atari`.

    A difference stays: EnvPool presses no button after the loss of a life in the middle of an episode.

    Args:
      evaluation: play whole games on raw scores, whatever `episodic_life` and `clip_rewards` say.
      episodic_life: the loss of a life terminates the episode for the learner.
      clip_rewards: rewards are -1, 0 or 1.
      **kwargs: further arguments of EnvPool, which win.
    """
    arguments = {
        "episodic_life": episodic_life and not evaluation,
        "reward_clip": clip_rewards and not evaluation,
        "repeat_action_probability": _STICKY["v5"],
        "max_episode_steps": 27_000,
        "noop_max": 30,
        "use_fire_reset": True,
    }
    return {**arguments, **kwargs}


class AtariEnv(gymnasium.Env):
    """A game as the learner sees it: stacks of small grey frames, one action for several frames.

    - An observation is `uint8[screen_size, screen_size, stack]`, the oldest frame first. A frame is the maximum of
      the last two that the emulator drew, grey, shrunk to a square by averaging areas. Where an episode begins, its
      first frame fills the stack.
    - A game begins with 1 to `noop_max` frames without action.
    - `info` holds `lives`, `raw_reward` (before clipping), `game_over` and `frame_number` (of the game).

    Args:
      game: the name of the ROM.
      sticky: the probability, per frame, that the action before is repeated.
      episodic_life: the loss of a life terminates the episode, and `reset` goes on with the same game.
      clip_rewards: rewards are -1, 0 or 1, the sign of the score's change.
      noop_max: frames without action at the start, at most; 0 for none.
      frame_skip: emulated frames per action.
      fire_reset: press the fire button, where there is one, when a game or a life begins: some games wait for it.
      screen_size: in pixels.
      stack: how many frames an observation has.
      full_action_space: all 18 actions rather than those that have an effect.
      max_frames: a game is truncated after so many emulated frames; 108,000 are half an hour.
      render_mode: "rgb_array" or None; pictures can be had either way.

    Raises:
      ValueError: for an argument out of its range.
    """

    def __init__(
        self,
        game: str,
        *,
        sticky: float = 0.25,
        episodic_life: bool = False,
        clip_rewards: bool = True,
        noop_max: int = 30,
        frame_skip: int = 4,
        fire_reset: bool = True,
        screen_size: int = 84,
        stack: int = 4,
        full_action_space: bool = False,
        max_frames: int = 108_000,
        render_mode: str | None = "rgb_array",
    ):
        import ale_py

        if not 0 <= sticky < 1:
            raise ValueError(f"sticky is {sticky}, expected a probability below 1")
        if render_mode not in ("rgb_array", None):
            raise ValueError(f"render_mode is {render_mode!r}, expected 'rgb_array' or None")
        counts = {"frame_skip": frame_skip, "screen_size": screen_size, "stack": stack, "max_frames": max_frames}
        for name, value in [*counts.items(), ("noop_max", noop_max)]:
            lowest = int(name in counts)
            if value < lowest:
                raise ValueError(f"{name} is {value}, expected at least {lowest}")
        self._episodic_life, self._clip_rewards = episodic_life, clip_rewards
        self._noop_max, self._frame_skip, self._stack = noop_max, frame_skip, stack
        self.max_episode_steps = -(-max_frames // frame_skip)  # at most: frames at the start count too
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # first, because making one prints a banner
        self._ale = ale_py.ALEInterface()
        self._ale.setFloat("repeat_action_probability", sticky)
        self._ale.setInt("max_num_frames_per_episode", max_frames)
        self._rom = ale_py.roms.get_rom_path(game)
        self._seed(int(self.np_random.integers(2**31)))
        actions = self._ale.getLegalActionSet() if full_action_space else self._ale.getMinimalActionSet()
        self._actions, self._noop, self._fire = actions, ale_py.Action.NOOP, ale_py.Action.FIRE
        self._presses_fire = fire_reset and self._fire in self._ale.getMinimalActionSet()
        height, width = self._ale.getScreenDims()
        self._rows, self._columns = areas(height, screen_size), areas(width, screen_size)
        self._screens = np.zeros([2, height, width], np.uint8)  # the last two, in any order
        self._frames = np.zeros([screen_size, screen_size, stack], np.uint8)
        self._lives, self._between_lives = 0, False
        self.action_space = spaces.Discrete(len(actions))
        self.observation_space = spaces.Box(0, 255, self._frames.shape, np.uint8)
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": _EMULATOR_RATE // frame_skip}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts a new game; after the loss of a life, with `episodic_life` and no seed, goes on with the same."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._seed(int(self.np_random.integers(2**31)))
        if self._between_lives and seed is None:
            self._emulate(self._noop, 1)
        else:
            self._start_game()
        self._press_fire()
        if self._ended():
            self._start_game()
        self._lives, self._between_lives = self._ale.lives(), False
        self._frames[:] = self._small_frame()[..., np.newaxis]
        return self._frames.copy(), self._info(0.0)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Holds an action for `frame_skip` frames."""
        raw_reward = self._emulate(self._actions[int(action)], self._frame_skip)
        # A few games show no life left for some frames before they are over: that is no loss of its own.
        life_lost = 0 < self._ale.lives() < self._lives
        self._lives = self._ale.lives()
        if life_lost and not self._episodic_life:
            raw_reward += self._press_fire()
        truncated = self._ale.game_truncated()
        self._between_lives = life_lost and self._episodic_life and not self._ended()
        terminated = self._ale.game_over(with_truncation=False) or (life_lost and self._episodic_life)
        self._frames = np.concatenate([self._frames[..., 1:], self._small_frame()[..., np.newaxis]], axis=-1)
        reward = float(np.sign(raw_reward)) if self._clip_rewards else float(raw_reward)
        return self._frames.copy(), reward, bool(terminated), bool(truncated), self._info(raw_reward)

    def render(self) -> np.ndarray:
        """The screen in colours, `uint8[210, 160, 3]`."""
        return self._ale.getScreenRGB()

    def _seed(self, seed: int) -> None:
        self._ale.setInt("random_seed", seed)
        self._ale.loadROM(self._rom)  # the seed counts from here

    def _start_game(self) -> None:
        self._ale.reset_game()
        self._ale.getScreenGrayscale(self._screens[0])
        self._screens[1] = 0
        if self._noop_max:
            self._emulate(self._noop, int(self.np_random.integers(1, self._noop_max + 1)))

    def _press_fire(self) -> float:
        return self._emulate(self._fire, self._frame_skip) if self._presses_fire and not self._ended() else 0.0

    def _emulate(self, action: Any, frames: int) -> float:
        """Holds an action until the game ends; returns the change of the score."""
        score = 0.0
        for _ in range(frames):
            score += self._ale.act(action)
            self._screens = self._screens[::-1]
            self._ale.getScreenGrayscale(self._screens[0])
            if self._ended():
                break
        return score

    def _ended(self) -> bool:
        return self._ale.game_over()  # truncation included

    def _small_frame(self) -> np.ndarray:
        return shrunk(self._screens.max(axis=0), self._rows, self._columns)

    def _info(self, raw_reward: float) -> dict[str, Any]:
        return {
            "lives": self._ale.lives(),
            "raw_reward": float(raw_reward),
            "game_over": self._ended(),
            "frame_number": self._ale.getEpisodeFrameNumber(),
        }
