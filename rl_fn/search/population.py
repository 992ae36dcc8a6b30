"""Population-based training (Jaderberg et al., 2017) as a pure function over the copies axis.

A generation is one compiled call: every member trains, and then the worst take over what the best have learned, with
settings that are changed a little. All choices are drawn from keys, so equal states have equal futures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import loops, random
from rl_fn.agents.ranges import Linear, Log
from rl_fn.search.space import Space
from rl_fn.search.tunable import Settings
from rl_fn.struct import Nest

QUANTILE = 0.2  # of the population that takes over, and that is taken over (section 4.1.1, truncation selection)
FACTORS = (0.8, 1.2)  # by which settings of a logarithmic range are multiplied
SHIFT = 0.1  # of an even range, by which settings in it are moved
RESAMPLED = 0.25  # probability that a setting is drawn anew in its range


class Population(NamedTuple):
    """Members side by side, `[M, ...]`."""

    members: loops.TrainState  # of agents made by `tunable`
    fitness: tf.Tensor  # float32[M]: mean return of the newest generation in which episodes ended; -inf before
    generation: tf.Tensor  # int32[]: so far
    key: tf.Tensor  # uint32[2]: never changes; a generation folds its number in


class Generation(NamedTuple):
    """What happened in a generation."""

    fitness: tf.Tensor  # float32[M]: by which members were chosen
    parents: tf.Tensor  # int32[M]: from whom each goes on; its own number, where it goes on as it is
    settings: Settings  # float32[M] by name: with which each goes on


def init_population(members: loops.TrainState, key: random.Key) -> Population:
    """The population at the start.

    Args:
      members: their states, stacked.
      key: of all choices.
    """
    return Population(members, tf.fill([members.iteration.shape[0]], -math.inf), tf.constant(0), key)


def population_step(
    step: Callable[[Nest], tuple[Nest, Any]], space: Space, iterations: int, longer: int = 0
) -> Callable[[Population], tuple[Population, Generation]]:
    """Makes one generation: so many training iterations of every member, then exploit and explore.

    Fitness is the mean return of the episodes that ended in the generation. The worst fifth go on from members of the
    best fifth, drawn evenly: with their parameters, optimisers, replay, counters and the policies that a lag lets wait,
    in their own environments and with their own keys. Of those that took over, each setting is drawn anew in its range
    with probability a quarter, else multiplied by 0.8 or 1.2, or in an even range moved by a tenth of it, and kept in
    its range.

    Args:
      step: a training step of one member, from `loops.train_step` of an agent made by `tunable`.
      space: ranges of what may change.
      iterations: of a generation.
      longer: how many generations, the first ones, have one more.

    Returns:
      A pure function `Population -> (Population, Generation)`.

    Raises:
      ValueError: if something in the space makes programs of its own, or is no range.
    """
    check(space)
    many = loops.vectorize(step)

    def generation(population: Population) -> tuple[Population, Generation]:
        mine = iterations + tf.cast(population.generation < longer, tf.int32)
        members, episodes = _trained(many, population.members, mine)
        mean = episodes.return_sum / tf.maximum(episodes.count, 1.0)
        fitness = tf.where(episodes.count > 0, mean, population.fitness)
        fitness = tf.where(tf.math.is_finite(fitness), fitness, -math.inf)
        exploit_key, explore_key = tf.unstack(random.split(random.fold_in(population.key, population.generation)))
        parents, took_over = exploit(exploit_key, fitness)
        theirs = lambda nest: tf.nest.map_structure(lambda leaf: tf.gather(leaf, parents), nest)
        agents = theirs(members.agent)
        settings = explore(explore_key, agents.settings, took_over, space)
        members = members._replace(agent=agents._replace(settings=settings), policies=theirs(members.policies))
        after = Population(members, tf.gather(fitness, parents), population.generation + 1, population.key)
        return after, Generation(fitness, parents, settings)

    return generation


def exploit(key: random.Key, fitness: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Truncation selection.

    Args:
      key: `uint32[2]`.
      fitness: `[M]`.

    Returns:
      From whom each member goes on, `int32[M]`, and whether that is another, `bool[M]`.
    """
    size = fitness.shape[0]
    count = int(QUANTILE * size) or min(1, size // 2)
    ranked = tf.argsort(fitness, direction="DESCENDING", stable=True)  # equal ones in their order
    rank = tf.argsort(ranked)
    own = tf.range(size)
    chosen = tf.gather(ranked, random.randint(key, [size], 0, max(count, 1)))
    # Who is as good as the one to take over from is not among the worst.
    worse = (rank >= size - count) & (fitness < tf.gather(fitness, chosen))
    return tf.where(worse, chosen, own), worse


def explore(key: random.Key, settings: Settings, changed: tf.Tensor, space: Space) -> Settings:
    """Perturbs the settings of some members, or draws them anew.

    Args:
      key: `uint32[2]`.
      settings: `[M]` by name.
      changed: `bool[M]`, which members.
      space: the ranges.
    """
    found = dict(settings)
    for index, one in enumerate(space):
        value = settings[one.name]
        anew, choice, factor = tf.unstack(random.uniform(random.fold_in(key, index), [3, value.shape[0]]))
        low, high = one.interval
        if isinstance(one.interval, Log):
            moved = value * tf.where(factor < 0.5, *FACTORS)
        else:
            moved = value + SHIFT * (high - low) * tf.where(factor < 0.5, -1.0, 1.0)
        drawn = tf.where(choice < RESAMPLED, _at(one.interval, anew), moved)
        found[one.name] = tf.where(changed, tf.clip_by_value(drawn, low, high), value)
    return found


def initial_settings(key: random.Key, space: Space, members: int) -> Settings:
    """Settings drawn evenly in their ranges, `[members]` by name."""
    ranges = check(space)
    drawn = [random.uniform(random.fold_in(key, index), [members]) for index in range(len(space))]
    return {one.name: _at(*pair) for one, pair in zip(space, zip(ranges, drawn, strict=True), strict=True)}


def check(space: Space) -> list[Log | Linear]:
    """The ranges of what a population changes; raises ValueError, naming it, for what it cannot change."""
    for one in space:
        if one.is_static:
            raise ValueError(f"{one.name} makes a program for each value, so a population cannot change it")
    return [one.interval for one in space]


def _at(given: Log | Linear, fraction: tf.Tensor) -> tf.Tensor:
    """As `given.at`, for tensors."""
    if isinstance(given, Log):
        low, high = math.log(given.low), math.log(given.high)
        return tf.clip_by_value(tf.exp(low + fraction * (high - low)), given.low, given.high)
    return given.low + fraction * (given.high - given.low)


def _trained(
    many: Callable[[Nest], tuple[Nest, Any]], members: Nest, iterations: tf.Tensor
) -> tuple[Nest, loops.Episodes]:
    size = members.iteration.shape[0]

    def body(count: tf.Tensor, members: Nest, totals: loops.Episodes) -> tuple:
        members, report = many(members)
        return count + 1, members, tf.nest.map_structure(tf.add, totals, report.episodes)

    start = (tf.constant(0), members, loops.Episodes(*[tf.zeros([size])] * 3))
    _, members, totals = tf.while_loop(lambda count, *_: count < iterations, body, start)
    return members, totals
