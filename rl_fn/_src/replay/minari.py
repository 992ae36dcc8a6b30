"""Exchange with Minari, the format of offline data sets; needs the packages `minari[hdf5]` and `pillow`."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf

from rl_fn._src.spaces import convert, encode
from rl_fn.struct import Transition


def to_minari(
    dataset_id: str,
    steps: Transition,
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    **options: Any,
) -> Any:
    """Makes a Minari data set of experience, such as `contents` returns.

    Steps become episodes, one stream after the other. An episode that is not over where a stream ends is
    marked as truncated there. Extras are left out.

    Args:
      dataset_id: the name in Minari's folder, such as "cartpole/dqn-v0".
      steps: arrays `[T, B, ...]`, or `[N, ...]` of one stream, in the order of time.
      observation_space: as agents see it, in `spec.observation_space`.
      action_space: as agents see it.
      **options: passed on to `minari.create_dataset_from_buffers`.

    Returns:
      The `minari.MinariDataset`. Its arrays are those that were given: images are not compressed with loss.
    """
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer

    if steps.reward.ndim == 1:
        steps = tf.nest.map_structure(lambda leaf: np.asarray(leaf)[:, np.newaxis], steps)
    episodes: list[EpisodeBuffer] = []
    for stream in range(steps.reward.shape[1]):
        part = tf.nest.map_structure(lambda leaf, b=stream: np.asarray(leaf)[:, b], steps)
        ends = np.flatnonzero(part.is_last) + 1
        bounds = np.unique([0, *ends, len(part.reward)])
        for begin, end in itertools.pairwise(bounds):
            cut = tf.nest.map_structure(lambda leaf, b=begin, e=end: leaf[b:e], part)
            truncated = cut.truncated.copy()
            truncated[-1] |= not cut.terminated[-1]
            episodes.append(
                EpisodeBuffer(
                    id=len(episodes),
                    observations=tf.nest.map_structure(
                        lambda leaf, last: np.concatenate([leaf, last[-1:]]), cut.observation, cut.next_observation
                    ),
                    actions=cut.action,
                    rewards=list(cut.reward),
                    terminations=list(cut.terminated),
                    truncations=list(truncated),
                )
            )
    return minari.create_dataset_from_buffers(
        dataset_id,
        episodes,
        observation_space=observation_space,
        action_space=action_space,
        **{"jpeg_encoding": False, **options},
    )


def from_minari(dataset: Any) -> Transition:
    """Reads a Minari data set.

    Args:
      dataset: a `minari.MinariDataset`, or its name in Minari's folder.

    Returns:
      Its steps, arrays `[N, ...]`, one episode after the other, each of which ends truncated where it does not
      terminate, with the dtypes of the specification of its spaces and float32 rewards, and without extras. Discrete
      things count from 0, wherever those of the data set do.
    """
    import minari

    if isinstance(dataset, str):
        dataset = minari.load_dataset(dataset)
    observations_of = encode(convert(dataset.spec.observation_space), axes=1)
    actions_of = encode(convert(dataset.spec.action_space), axes=1, what="action")
    parts = []
    for episode in dataset.iterate_episodes():
        observations = observations_of(episode.observations)
        terminated, truncated = (np.array(flags, bool) for flags in (episode.terminations, episode.truncations))
        truncated[-1] |= ~terminated[-1]
        parts.append(
            Transition(
                observation=tf.nest.map_structure(lambda leaf: leaf[:-1], observations),
                action=actions_of(episode.actions),
                reward=np.asarray(episode.rewards, np.float32),
                terminated=terminated,
                truncated=truncated,
                next_observation=tf.nest.map_structure(lambda leaf: leaf[1:], observations),
                extras={},
            )
        )
    return tf.nest.map_structure(lambda *leaves: np.concatenate(leaves), *parts)
