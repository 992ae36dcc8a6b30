"""Between one environment of Gymnasium or Gym and an agent, for loops that step the environment themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Discrete

from rl_fn._src import spaces
from rl_fn.envs.host import session
from rl_fn.envs.host.base import host_spec, name_of
from rl_fn.struct import EnvSpec, Nest


class Border(NamedTuple):
    """What an agent knows of an environment, and how what passes between them is converted.

    Environments of this library have done it already. Agents know Gymnasium's spaces and count from 0; the
    environment may be of Gym, and count from anywhere.
    """

    spec: EnvSpec  # as the agent wants it
    observation_to_agent: Callable[[Any], Nest]  # one observation of the environment -> new arrays, as `spec` says
    action_to_env: Callable[[Any], Any]  # one action of the agent -> as the environment takes it, inside its space
    action_to_agent: Callable[[Any], np.ndarray]  # the way back: an action that the environment took


def border(env: Any) -> Border:
    """Makes the border of one environment.

        border = rl.envs.border(gym.make("CartPole-v1"))
        agent = rl.agents.dqn.make(border.spec, hparams)

    Args:
      env: a single environment of Gymnasium or Gym 0.26; or anything else with `observation_space` and
        `action_space`, of whichever of both, such as an EnvSpec of an environment's own spaces.

    Raises:
      ValueError: for spaces that are not supported; actions are Box, Discrete or MultiDiscrete.
    """
    if isinstance(env, EnvSpec):
        observed, acted = spaces.convert(env.observation_space), spaces.convert(env.action_space)
        spec = env._replace(observation_space=spaces.from_zero(observed), action_space=spaces.from_zero(acted))
    else:
        described = session.describe(env)
        observed, acted = described.observation_space, described.action_space
        spec = host_spec(name_of(env), described)
    decode, is_discrete = spaces.decode(acted), isinstance(acted, Discrete)

    def action_to_env(action: Any) -> Any:
        return decode(action).item() if is_discrete else decode(action)  # environments index with the former

    return Border(spec, spaces.encode(observed), action_to_env, spaces.encode(acted, what="action"))
