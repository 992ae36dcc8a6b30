"""MinAtar, compiled: five Atari games on a screen of 10 x 10 cells, with one channel for each kind of object.

Young and Tian (2019), "MinAtar: An Atari-inspired testbed for thorough and reproducible reinforcement learning
experiments". The games are those of version 1.0.15 of the authors' package, state by state, with one difference: a
sticky first action of an episode repeats no action, and theirs the last action of the episode before.
"""

from __future__ import annotations

from rl_fn._src import arguments
from rl_fn.envs.base import Env
from rl_fn.envs.compiled.minatar import asterix, breakout, freeway, seaquest, space_invaders
from rl_fn.envs.compiled.minatar.game import ACTIONS, assemble

GAMES = {module.GAME.name: module.GAME for module in (asterix, breakout, freeway, seaquest, space_invaders)}


def make(
    game: str,
    minimal_actions: bool = False,
    sticky_action_prob: float = 0.1,
    difficulty_ramping: bool = True,
    max_episode_steps: int | None = None,
) -> Env:
    """Makes one of the games.

    Args:
      game: one of GAMES.
      minimal_actions: whether only the actions that have an effect in this game can be chosen, and not all six:
        none, left, up, right, down, fire.
      sticky_action_prob: the probability that the last action is carried out again in place of the chosen one.
      difficulty_ramping: whether the game becomes more difficult; Breakout and Freeway never do.
      max_episode_steps: where episodes are truncated; the games have no such limit of their own.

    Raises:
      ValueError: if a value is not allowed; the message names it.
    """
    if game not in GAMES:
        raise ValueError(f"game is {game!r}, expected one of {', '.join(GAMES)}")
    minimal_actions = arguments.flag("minimal_actions", minimal_actions)
    if max_episode_steps is not None:
        max_episode_steps = arguments.integer("max_episode_steps", max_episode_steps, least=1)
    return assemble(
        GAMES[game],
        name=f"MinAtar/{game}-v{int(minimal_actions)}",
        actions=GAMES[game].minimal_actions if minimal_actions else ACTIONS,
        sticky_action_prob=arguments.number("sticky_action_prob", sticky_action_prob, 0, 1),
        difficulty_ramping=arguments.flag("difficulty_ramping", difficulty_ramping),
        max_episode_steps=max_episode_steps,
    )
