"""Wrappers of rewards: scaled, clipped, normalised, shaped. A policy is judged without them, by `Env.evaluation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.envs.base import Env, EnvStep
from rl_fn.envs.wrappers.base import changes_rewards
from rl_fn.normalization import RunningMoments
from rl_fn.struct import Nest, Scalar


class NormalizedRewardState(NamedTuple):
    inner: Nest  # the environment's own
    discounted_return: tf.Tensor  # float32[B]: of the rewards of this episode, the newest with weight 1
    moments: RunningMoments  # of these over all steps and the whole batch; no batch axis


class ShapedState(NamedTuple):
    inner: Nest  # the environment's own
    observation: Nest  # [B, ...]: the one the policy saw last


@changes_rewards
def scale_reward(env: Env, factor: float) -> Env:
    """Multiplies rewards, and the reward threshold, by a positive factor.

    Raises:
      ValueError: if the factor is not positive and finite.
    """
    if not 0 < factor < float("inf"):
        raise ValueError(f"scale_reward: factor is {factor}, expected a positive finite number")
    threshold = env.spec.reward_threshold
    return _map_rewards(env, lambda reward: factor * reward, None if threshold is None else factor * threshold)


@changes_rewards
def clip_reward(env: Env, low: float = -1.0, high: float = 1.0) -> Env:
    """Clips rewards to [low, high]; Mnih et al. (2015), "Human-level control", Methods.

    Raises:
      ValueError: if `low` is not less than `high`.
    """
    if not low < high:
        raise ValueError(f"clip_reward: low is {low} and high is {high}, expected low < high")
    return _map_rewards(env, lambda reward: tf.clip_by_value(reward, low, high), None)


@changes_rewards
def normalize_reward(
    env: Env,
    gamma: Scalar = 0.99,
    *,
    clip: float | None = 10.0,
    epsilon: float = 1e-8,
    moments: RunningMoments | None = None,
) -> Env:
    """Divides rewards by the running standard deviation of the discounted return, and does not shift them.

    Engstrom et al. (2020), "Implementation matters in deep policy gradients", section 3 and algorithm 1: the
    return of each environment is gamma times itself plus the reward, from 0 at the start of an episode.

    Args:
      env: the environment.
      gamma: the discount of the return, in [0, 1].
      clip: the largest absolute reward, or None.
      epsilon: added to the variance.
      moments: frozen ones, such as `state.moments` of training, to be applied as they are.

    Raises:
      ValueError: if a number is not in its range.
    """
    if not tf.is_tensor(gamma) and not 0 <= gamma <= 1:
        raise ValueError(f"normalize_reward: gamma is {gamma}, expected a number in [0, 1]")
    if clip is not None and not clip > 0:
        raise ValueError(f"normalize_reward: clip is {clip}, expected a positive number or None")
    if not epsilon > 0:
        raise ValueError(f"normalize_reward: epsilon is {epsilon}, expected a positive number")

    def reset(key: random.Key, batch_size: int) -> tuple[NormalizedRewardState, Nest]:
        inner, observation = env.reset(key, batch_size)
        start = RunningMoments.init(tf.TensorSpec([])) if moments is None else moments
        return NormalizedRewardState(inner, tf.zeros([batch_size]), start), observation

    def step(state: NormalizedRewardState, action: Nest, key: random.Key) -> tuple[NormalizedRewardState, EnvStep]:
        inner, outcome = env.step(state.inner, action, key)
        discounted_return = gamma * state.discounted_return + outcome.reward
        current = state.moments.update(discounted_return) if moments is None else state.moments
        reward = outcome.reward * tf.math.rsqrt(current.variance + epsilon)
        if clip is not None:
            reward = tf.clip_by_value(reward, -clip, clip)
        is_last = outcome.terminated | outcome.truncated
        following = NormalizedRewardState(inner, tf.where(is_last, 0.0, discounted_return), current)
        return following, outcome._replace(reward=reward)

    render = env.render
    return Env(env.spec._replace(reward_threshold=None), reset, step, render and (lambda state: render(state.inner)))


@changes_rewards
def shape_reward(env: Env, function: Callable[[Nest, Nest, tf.Tensor, Nest], tf.Tensor]) -> Env:
    """Replaces rewards by a function of the whole step.

    Args:
      env: the environment.
      function: `(observation, action, reward, next_observation) -> reward`, all with a batch axis;
        `next_observation` is the true successor.

    Raises:
      ValueError: by `step`, if the function returns anything but float32[B].
    """

    def reset(key: random.Key, batch_size: int) -> tuple[ShapedState, Nest]:
        inner, observation = env.reset(key, batch_size)
        return ShapedState(inner, observation), observation

    def step(state: ShapedState, action: Nest, key: random.Key) -> tuple[ShapedState, EnvStep]:
        inner, outcome = env.step(state.inner, action, key)
        reward = tf.convert_to_tensor(function(state.observation, action, outcome.reward, outcome.next_observation))
        expected = outcome.reward
        if reward.shape != expected.shape or reward.dtype != expected.dtype:
            raise ValueError(
                f"shape_reward: the function returns {reward.dtype.name} {tuple(reward.shape)}, "
                f"expected {expected.dtype.name} {tuple(expected.shape)}"
            )
        return ShapedState(inner, outcome.observation), outcome._replace(reward=reward)

    render = env.render
    return Env(env.spec._replace(reward_threshold=None), reset, step, render and (lambda state: render(state.inner)))


def mountain_car_default(observation: Nest, action: Nest, reward: tf.Tensor, next_observation: tf.Tensor) -> tf.Tensor:
    """A bonus for height on the goal's side of MountainCar-v0, for `shape_reward`.

    That of for-ai/rl (2019), `reward_augmentation="mountain_car_default"`: with the new position at 0.5 or more
    100, at 0.25 or more 20, at 0.1 or more 10. It is no difference of potentials, so another policy may be
    optimal than without it.
    """
    del observation, action
    position = next_observation[..., 0]
    bonus = tf.where(position >= 0.1, 10.0, 0.0)
    bonus = tf.where(position >= 0.25, 20.0, bonus)
    return reward + tf.where(position >= 0.5, 100.0, bonus)


def _map_rewards(env: Env, function: Callable[[tf.Tensor], tf.Tensor], threshold: float | None) -> Env:
    def step(state: Nest, action: Nest, key: random.Key) -> tuple[Nest, EnvStep]:
        state, outcome = env.step(state, action, key)
        return state, outcome._replace(reward=function(outcome.reward))

    return env._replace(spec=env.spec._replace(reward_threshold=threshold), step=step)
