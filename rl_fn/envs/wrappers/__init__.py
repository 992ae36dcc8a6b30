"""Wrappers: pure functions `Env -> Env`.

    env = wrappers.frame_stack(wrappers.clip_reward(envs.make("MinAtar/Breakout-v1")), 4)

In all of them `next_observation` stays the true successor and `observation` what the policy sees next; at
the end of an episode these two differ. What a wrapper carries along starts anew with each episode, but for
the moments of normalize_reward: the whole batch shares one set, so those leaves of the state have no batch axis.

A policy is judged, and filmed, in the environment that `envs.judged` gives: without the wrappers of rewards, which
are there for learning, and with all others.
"""

from rl_fn.envs.wrappers.control import StickyState, action_repeat, sticky_actions, time_limit
from rl_fn.envs.wrappers.observations import (
    StackedState,
    flatten_observation,
    frame_stack,
    mask_observation,
    normalize_observation,
    one_hot_observation,
)
from rl_fn.envs.wrappers.pixels import PixelsState, pixels
from rl_fn.envs.wrappers.rewards import (
    NormalizedRewardState,
    ShapedState,
    clip_reward,
    mountain_car_default,
    normalize_reward,
    scale_reward,
    shape_reward,
)

__all__ = [
    "NormalizedRewardState",
    "PixelsState",
    "ShapedState",
    "StackedState",
    "StickyState",
    "action_repeat",
    "clip_reward",
    "flatten_observation",
    "frame_stack",
    "mask_observation",
    "mountain_car_default",
    "normalize_observation",
    "normalize_reward",
    "one_hot_observation",
    "pixels",
    "scale_reward",
    "shape_reward",
    "sticky_actions",
    "time_limit",
]
