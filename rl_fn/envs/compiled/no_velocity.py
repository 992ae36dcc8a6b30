"""The classic control tasks without velocities, which have to be remembered from positions.

The names are those of RL Baselines3 Zoo, as is the form: hidden entries read zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rl_fn.envs.base import Env
from rl_fn.envs.compiled import cartpole, mountain_car, pendulum
from rl_fn.envs.wrappers import mask_observation

# The task with velocities, and which entries of its observations are none
TASKS: dict[str, tuple[Callable[[], Env], tuple[int, ...]]] = {
    "CartPole-v1": (cartpole.make, (0, 2)),
    "MountainCar-v0": (mountain_car.make, (0,)),
    "MountainCarContinuous-v0": (partial(mountain_car.make, continuous=True), (0,)),
    "Pendulum-v1": (pendulum.make, (0, 1)),
}


def make(base: str) -> Env:
    """Makes the task named `base`, such as "CartPole-v1", with its velocities masked.

    Raises:
      ValueError: if it is none of TASKS.
    """
    if base not in TASKS:
        raise ValueError(f"base is {base!r}, expected one of {', '.join(TASKS)}")
    make_base, keep = TASKS[base]
    env = mask_observation(make_base(), keep)
    task, version = base.split("-")
    return env._replace(spec=env.spec._replace(name=f"{task}NoVel-{version}"))
