"""Procgen's sixteen games, made by EnvPool. Needs the `envpool` extra and, on Linux, the Qt 5 core and gui libraries.

Cobbe, Hesse, Hilton and Schulman (2020), "Leveraging procedural generation to benchmark reinforcement learning".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl_fn._src import naming

if TYPE_CHECKING:
    from rl_fn.envs.host.base import HostEnv

# The distributions of levels that each game has
GAMES = {
    "bigfish": ("easy", "hard"),
    "bossfight": ("easy", "hard"),
    "caveflyer": ("easy", "hard", "memory", "exploration"),
    "chaser": ("easy", "hard", "extreme"),
    "climber": ("easy", "hard", "exploration"),
    "coinrun": ("easy", "hard", "exploration"),
    "dodgeball": ("easy", "hard", "extreme", "memory"),
    "fruitbot": ("easy", "hard"),
    "heist": ("easy", "hard", "memory", "exploration"),
    "jumper": ("easy", "hard", "memory", "exploration"),
    "leaper": ("easy", "hard", "extreme", "exploration"),
    "maze": ("easy", "hard", "memory", "exploration"),
    "miner": ("easy", "hard", "memory"),
    "ninja": ("easy", "hard", "exploration"),
    "plunder": ("easy", "hard"),
    "starpilot": ("easy", "hard", "extreme"),
}


def procgen_env(
    game: str,
    num_envs: int | None = None,
    *,
    distribution_mode: str = "easy",
    num_levels: int = 0,
    start_level: int = 0,
    evaluation: bool = False,
    **kwargs: Any,
) -> HostEnv:
    """Makes a host environment of a game; observations are `uint8[64, 64, 3]`, and there are 15 actions.

    Args:
      game: a key of GAMES.
      num_envs: how many are stepped side by side, 1 unless given.
      distribution_mode: one of the game's distributions of levels.
      num_levels: how many levels there are; 0 for all. The paper trains on 200 easy or 500 hard ones and
        evaluates on all.
      start_level: the first of them.
      evaluation: play all levels, whatever `num_levels` and `start_level` say.
      **kwargs: further arguments of `envpool_env`.

    Raises:
      ValueError: for an unknown game, a distribution that it has not, impossible levels, or missing libraries.
    """
    from rl_fn.envs.host.envpool import envpool_env

    levels = {"num_levels": num_levels, "start_level": start_level}
    for name, value in levels.items():
        if not (isinstance(value, int) and 0 <= value < 2**31):
            raise ValueError(f"{name} is {value}, expected 0 to 2**31 - 1")
    if evaluation:
        levels = dict.fromkeys(levels, 0)
    task = envpool_task(game, distribution_mode)
    env = envpool_env(task, num_envs, channel_first=False, **{**levels, **kwargs})
    env.spec = env.spec._replace(name=f"procgen:{game}")
    return env


def envpool_task(game: str, distribution_mode: str = "easy") -> str:
    """EnvPool's name of a game with a distribution of levels, such as `CoinrunEasy-v0`.

    Raises:
      ValueError: for an unknown game, or a distribution that it has not.
    """
    if game not in GAMES:
        raise ValueError(naming.unknown("Procgen game", game, GAMES))
    if distribution_mode not in GAMES[game]:
        raise ValueError(f"distribution_mode is {distribution_mode!r}, {game} has: {', '.join(GAMES[game])}")
    return f"{game.capitalize()}{distribution_mode.capitalize()}-v0"
