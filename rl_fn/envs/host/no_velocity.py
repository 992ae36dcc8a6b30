"""Gymnasium's LunarLander without velocities, named and masked as RL Baselines3 Zoo does: hidden entries read zero."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

VELOCITIES = (2, 3, 5)  # of x, y and the angle


def make(**kwargs: Any) -> gymnasium.Env:
    """Makes one; `kwargs` are those of `gymnasium.make`."""
    env = gymnasium.make("LunarLander-v3", disable_env_checker=True, **kwargs)
    keep = np.where(np.isin(np.arange(8), VELOCITIES), np.float32(0), np.float32(1))
    return gymnasium.wrappers.TransformObservation(env, lambda observation: observation * keep, env.observation_space)
