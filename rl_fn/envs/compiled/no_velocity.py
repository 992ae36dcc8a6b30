"""The classic control tasks without velocities, which have to be remembered from positions.

The names are those of RL Baselines3 Zoo, as is the form: hidden entries read zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from rl_fn import envs
from rl_fn.envs.base import Env
from rl_fn.envs.wrappers import mask_observation


def make(base: str, keep: Sequence[int]) -> Env:
    """Masks what is not in `keep` of the environment named `base`, such as "CartPole-v1"."""
    visible = envs.make(f"compiled:{base}")
    assert isinstance(visible, Env)
    env = mask_observation(visible, keep)
    task, version = base.split("-")
    return env._replace(spec=env.spec._replace(name=f"{task}NoVel-{version}"))
