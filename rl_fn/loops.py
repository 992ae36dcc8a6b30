"""The loops: where an agent's three functions run. They know nothing of any algorithm.

step = train_step(agent, env, rollout_length)       # TrainState -> (TrainState, metrics)
compiled = compile(step, init_state(agent, env, num_envs, key))
for chunk in train(compiled, iterations):
    print(chunk.iteration, chunk.metrics)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn.agents.base import Agent, Mode
from rl_fn.envs.base import Env
from rl_fn.scan import scan
from rl_fn.struct import EnvSpec, Metrics, Nest, Transition

__all__ = [
    "ActorsState",
    "Chunk",
    "Compiled",
    "Episodes",
    "StatefulAgent",
    "TrainState",
    "compile",
    "evaluate",
    "init_actors",
    "init_state",
    "rollout",
    "scan",
    "train",
    "train_step",
    "vectorize",
]


class ActorsState(NamedTuple):
    """A batch of environments in mid-episode, and what acting in them carries along."""

    env: Nest
    observation: Nest  # [B, ...]: what the policy sees next
    actor: Nest  # the agent's own, reset where an episode begins
    episode_return: tf.Tensor  # float32[B]: of the episode so far
    episode_length: tf.Tensor  # int32[B]


class Episodes(NamedTuple):
    """Episodes that ended, by environment."""

    count: tf.Tensor  # int32[B]
    return_sum: tf.Tensor  # float32[B]
    length_sum: tf.Tensor  # int32[B]


class TrainState(NamedTuple):
    """Everything a run is: equal states have equal futures."""

    agent: Any
    actors: ActorsState
    key: tf.Tensor  # uint32[2]: never changes; an iteration folds its number in
    iteration: tf.Tensor  # int32[]: rollouts (and updates) so far


def init_actors(agent: Agent, env: Env, num_envs: int, key: random.Key) -> ActorsState:
    """Resets `num_envs` environments and the agent's actor state for them."""
    env_state, observation = env.reset(key, num_envs)
    return ActorsState(
        env=env_state,
        observation=observation,
        actor=agent.init_actor(num_envs),
        episode_return=tf.zeros([num_envs]),
        episode_length=tf.zeros([num_envs], tf.int32),
    )


def init_state(agent: Agent, env: Env, num_envs: int, key: random.Key) -> TrainState:
    """The state at the start of a run, a function of the key alone."""
    agent_key, env_key, run_key = tf.unstack(random.split(key, 3))
    actors = init_actors(agent, env, num_envs, env_key)
    return TrainState(agent.init(agent_key), actors, run_key, iteration=tf.constant(0))


def rollout(
    agent: Agent,
    env: Env,
    policy: Nest,
    actors: ActorsState,
    key: random.Key,
    length: int,
    mode: Mode = "train",
) -> tuple[ActorsState, tuple[Transition, Episodes]]:
    """Acts for `length` steps in every environment.

    Args:
      agent: whose `act` chooses.
      env: the environments.
      policy: the `policy` of an agent's state.
      actors: where the environments stand.
      key: `uint32[2]`.
      length: T, the number of steps.
      mode: "train", or "eval" with exploration off.

    Returns:
      Where the environments stand afterwards; the trajectory, a Transition with leading axes
      `[T, B]`; and the totals of the episodes that ended on the way.
    """

    def step(carry: tuple, keys: tf.Tensor) -> tuple[tuple, Transition]:
        actors, episodes = carry
        acted = agent.act(policy, actors.actor, actors.observation, keys[0], mode)
        env_state, outcome = env.step(actors.env, acted.action, keys[1])
        transition = Transition(
            observation=actors.observation,
            action=acted.action,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            next_observation=outcome.next_observation,
            extras=acted.extras,
        )
        actors, ended = _advance(agent, actors, acted.actor_state, env_state, outcome.observation, transition)
        return (actors, tf.nest.map_structure(tf.add, episodes, ended)), transition

    num_envs = actors.episode_return.shape[0]
    none = Episodes(tf.zeros([num_envs], tf.int32), tf.zeros([num_envs]), tf.zeros([num_envs], tf.int32))
    keys = tf.reshape(random.split(key, 2 * length), [length, 2, 2])
    (actors, episodes), trajectory = scan(step, (actors, none), keys)
    return actors, (trajectory, episodes)


def train_step(agent: Agent, env: Env, rollout_length: int) -> Callable[[TrainState], tuple[TrainState, Metrics]]:
    """Makes one training iteration: a rollout, and the agent's update on it.

    Returns:
      A pure function `TrainState -> (TrainState, metrics)`. Its metrics are the agent's, and
      `episode_count`, `episode_return_sum` and `episode_length_sum` of the episodes that ended.
    """

    def step(state: TrainState) -> tuple[TrainState, Metrics]:
        rollout_key, update_key = tf.unstack(random.split(random.fold_in(state.key, state.iteration)))
        actors, (trajectory, episodes) = rollout(
            agent, env, state.agent.policy, state.actors, rollout_key, rollout_length
        )
        agent_state, metrics = agent.update(state.agent, trajectory, update_key)
        totals = {
            f"episode_{name}": tf.cast(tf.reduce_sum(total), tf.float32) for name, total in episodes._asdict().items()
        }
        return TrainState(agent_state, actors, state.key, state.iteration + 1), {**metrics, **totals}

    return step


def vectorize(step: Callable[[Nest], tuple[Nest, Metrics]]) -> Callable[[Nest], tuple[Nest, Metrics]]:
    """Makes a step of many copies: every leaf of the state and of the metrics has a leading copy axis."""

    def copies_step(states: Nest) -> tuple[Nest, Metrics]:
        return tf.vectorized_map(step, states, fallback_to_while_loop=False)

    return copies_step


class Compiled:
    """A step compiled by XLA, with its state on the device, updated in place. Made by `compile`."""

    def __init__(self, step: Callable[..., tuple[Nest, Nest]], state: Nest):
        self._variables = tf.nest.map_structure(lambda leaf: tf.Variable(leaf, trainable=False), state)
        self._spec = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), self._variables)
        self.trace_count = 0

        def traced(inputs: tuple) -> Any:
            self.trace_count += 1
            specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, inputs)
            one_step = tf.function(step, autograph=False).get_concrete_function(self._spec, *specs)
            _check_specs("compile: step", one_step.structured_outputs[0], self._spec)
            return one_step

        def call(*inputs: Nest) -> Nest:
            state, outputs = traced(inputs)(self._read(), *inputs)
            self._assign(state)
            return outputs

        def run(iterations: tf.Tensor) -> Metrics:
            one_step = traced(())

            def body(count: tf.Tensor, state: Nest, sums: Metrics) -> tuple:
                state, metrics = one_step(state)
                return count + 1, state, tf.nest.map_structure(tf.add, sums, metrics)

            sums = tf.nest.map_structure(lambda m: tf.zeros(m.shape, m.dtype), one_step.structured_outputs[1])
            _, state, sums = tf.while_loop(
                lambda count, *_: count < iterations, body, (tf.constant(0), self._read(), sums)
            )
            self._assign(state)
            return sums

        counter = tf.TensorSpec([], tf.int32)
        self._run = tf.function(run, jit_compile=True, autograph=False, input_signature=[counter])
        self._call = tf.function(call, jit_compile=True, autograph=False)

    def __call__(self, *inputs: Nest) -> Nest:
        """Runs `state, outputs = step(state, *inputs)` once and returns the outputs."""
        return self._call(*tf.nest.map_structure(tf.convert_to_tensor, inputs))

    def run(self, iterations: int) -> dict[str, np.ndarray]:
        """Runs that many iterations of a step without inputs, and returns the sum of each metric over them."""
        sums = self._run(tf.constant(iterations, tf.int32))
        return {name: value.numpy() for name, value in sums.items()}

    def read(self, select: Callable[[Nest], Nest] = lambda state: state) -> Nest:
        """A copy of the state, or of the part of it that `select` picks."""
        return tf.nest.map_structure(tf.convert_to_tensor, select(self._variables))

    def restore(self, state: Nest) -> None:
        """Replaces the state.

        Raises:
          ValueError: if a leaf has another shape or dtype; the message names it.
        """
        state = tf.nest.map_structure(tf.convert_to_tensor, state)
        _check_specs("restore", state, self._spec)
        self._assign(state)

    def hlo(self, stage: str = "optimized_hlo") -> str:
        """What XLA makes of `run`, as text."""
        return self._run.experimental_get_compiler_ir(tf.constant(1))(stage=stage)

    def _read(self) -> Nest:
        return tf.nest.map_structure(lambda variable: variable.read_value(), self._variables)

    def _assign(self, state: Nest) -> None:
        for variable, leaf in zip(tf.nest.flatten(self._variables), tf.nest.flatten(state), strict=True):
            variable.assign(leaf, read_value=False)


def compile(step: Callable[..., tuple[Nest, Nest]], state: Nest) -> Compiled:
    """Compiles `step: (state, *inputs) -> (state, outputs)`, to be called once or run in a loop.

    The state is held in variables that the compiled call reads and assigns, which lets XLA update it in
    place: this is the one place where tensors meet variables.

    Args:
      step: a pure function. For `run`, it takes no inputs and its outputs are a dict of metrics.
      state: the state to begin with; shapes and dtypes stay as they are.

    Returns:
      A Compiled; its first call compiles.

    Raises:
      ValueError: at the first call, if the step changes a shape or dtype; the message names the leaf.
    """
    return Compiled(step, state)


def evaluate(
    agent: Agent, env: Env, num_episodes: int, copies: bool = False, chunk: int = 100
) -> Callable[[Nest, random.Key], tuple[np.ndarray, np.ndarray]]:
    """Makes a compiled evaluation of whole episodes with exploration off.

    Every one of `num_episodes` environments plays one episode to its end, so long episodes count as
    often as short ones. Nothing of the training environments is touched.

    Args:
      agent: whose `act` chooses, in mode "eval".
      env: the environment.
      num_episodes: the number of episodes.
      copies: whether policy and key have a leading copy axis.
      chunk: the number of steps per compiled call.

    Returns:
      A function `(policy, key) -> (returns, lengths)`, both `[num_episodes]` arrays, or
      `[copies, num_episodes]`.
    """

    def start(key: random.Key) -> tuple[ActorsState, Episodes]:
        none = tf.zeros([num_episodes], tf.int32)
        return init_actors(agent, env, num_episodes, random.fold_in(key, 0)), Episodes(
            none, tf.zeros([num_episodes]), none
        )

    def play(policy: Nest, state: tuple[ActorsState, Episodes], key: random.Key, call: tf.Tensor) -> tuple:
        def step(carry: tuple, keys: tf.Tensor) -> tuple[tuple, None]:
            actors, first = carry
            acted = agent.act(policy, actors.actor, actors.observation, keys[0], "eval")
            env_state, outcome = env.step(actors.env, acted.action, keys[1])
            actors, ended = _advance(agent, actors, acted.actor_state, env_state, outcome.observation, outcome)
            return (actors, struct.where(first.count > 0, first, ended)), None

        keys = tf.reshape(random.split(random.fold_in(key, call), 2 * chunk), [chunk, 2, 2])
        return scan(step, state, keys)[0]

    def start_copies(keys: random.Key) -> Nest:
        return tf.vectorized_map(start, keys, fallback_to_while_loop=False)

    def play_copies(policies: Nest, states: Nest, keys: random.Key, call: tf.Tensor) -> Nest:
        return tf.vectorized_map(
            lambda copy: play(copy[0], copy[1], copy[2], call), (policies, states, keys), fallback_to_while_loop=False
        )

    start_fn = tf.function(start_copies if copies else start, autograph=False)
    play_fn = tf.function(play_copies if copies else play, jit_compile=True, autograph=False)

    def run(policy: Nest, key: random.Key) -> tuple[np.ndarray, np.ndarray]:
        state, calls = start_fn(key), 0
        while not np.all(state[1].count.numpy()):
            calls += 1
            state = play_fn(policy, state, key, tf.constant(calls))
        return state[1].return_sum.numpy(), state[1].length_sum.numpy()

    return run


class Chunk(NamedTuple):
    """What `train` reports between two compiled calls."""

    iteration: int  # iterations done in all
    iterations: int  # of these, in this chunk
    seconds: float  # this chunk took; the first of a run includes compilation
    compiled: bool  # whether this chunk compiled the step
    metrics: dict[str, np.ndarray]  # means over the chunk; episodes as `summarize` says


def train(
    compiled: Compiled,
    iterations: int,
    *,
    start: int = 0,
    chunk_seconds: float = 1.0,
    max_chunk: int | None = None,
    pause_every: int | None = None,
) -> Iterator[Chunk]:
    """Runs a compiled training step in chunks, and hands over between them.

    Whatever belongs between chunks (logging, evaluation, checkpoints, a signal to stop) is the body of
    the caller's `for` loop. The length of the chunks has no influence on the state.

    Args:
      compiled: from `compile(train_step(...), ...)`, or of its copies.
      iterations: the number of iterations to reach.
      start: the number of iterations done already.
      chunk_seconds: how long a chunk should take.
      max_chunk: the largest number of iterations in a chunk.
      pause_every: end a chunk at every multiple of this number of iterations.

    Yields:
      A Chunk after each compiled call.
    """
    done, size, first = start, 1, True
    while done < iterations:
        size = min(size, iterations - done, max_chunk or iterations)
        if pause_every:
            size = min(size, pause_every - done % pause_every)
        begin = time.perf_counter()
        sums = compiled.run(size)
        seconds = time.perf_counter() - begin
        done += size
        yield Chunk(done, size, seconds, first, summarize(sums, size))
        # The first call compiles, so the speed is first known after the second.
        size = size if first else max(1, min(int(size * chunk_seconds / max(seconds, 1e-9)), 8 * size))
        first = False


def summarize(sums: dict[str, np.ndarray], iterations: int) -> dict[str, np.ndarray]:
    """Turns sums over iterations into means, and episode totals into means over episodes.

    `episode_return` and `episode_length` are NaN where no episode ended.
    """
    means = {name: value / iterations for name, value in sums.items() if not name.startswith("episode_")}
    if "episode_count" in sums:
        count = sums["episode_count"]
        some = np.where(count > 0, count, np.nan)
        means["episode_return"] = sums["episode_return_sum"] / some
        means["episode_length"] = sums["episode_length_sum"] / some
        means["episode_count"] = count
    return means


class StatefulAgent:
    """An agent as an object, for a plain Python loop over any Gymnasium or Gym environment.

        agent = StatefulAgent(dqn.make(spec, hparams), spec, rollout_length=hparams.rollout_length)
        action = agent.act(observation)
        next_observation, reward, terminated, truncated, info = env.step(action)
        agent.observe(observation, action, reward, next_observation, terminated, truncated)
        metrics = agent.update()  # None until `rollout_length` steps have been observed

    It holds the state and does nothing else: acting and updating are the agent's own functions, compiled.

    Args:
      agent: the agent, made for one environment (`num_envs=1`).
      spec: the environment's specification.
      rollout_length: the number of steps of one update.
      seed: the seed of everything random.
      explore: whether `act` explores.
    """

    def __init__(self, agent: Agent, spec: EnvSpec, rollout_length: int, seed: int = 0, explore: bool = True):
        init_key, self._act_key, update_key = tf.unstack(random.split(random.key(seed), 3))
        self._agent = agent
        self._rollout_length = rollout_length
        self._observation_spec = struct.space_spec(spec.observation_space)
        self._action_spec = struct.space_spec(spec.action_space)
        self._actor = agent.init_actor(1)
        self._extras: dict[str, tf.Tensor] = {}
        self._segment: list[Transition] = []
        self._steps = self._updates = 0
        mode: Mode = "train" if explore else "eval"

        def act(policy: Nest, actor: Nest, observation: Nest, step: tf.Tensor) -> Any:
            return agent.act(policy, actor, observation, random.fold_in(self._act_key, step), mode)

        def update(state: Any, trajectory: Transition, updates: tf.Tensor) -> tuple[Any, Metrics]:
            return agent.update(state, trajectory, random.fold_in(update_key, updates))

        self._act = tf.function(act, jit_compile=True, autograph=False)
        self._update = compile(update, agent.init(init_key))

    @property
    def state(self) -> Any:
        """A copy of the agent's state."""
        return self._update.read()

    def act(self, observation: Nest) -> Any:
        """Chooses an action for one observation, as the environment gives it and takes it."""
        policy = self._update.read(lambda state: state.policy)
        batch = _batch_of_one("observation", observation, self._observation_spec)
        acted = self._act(policy, self._actor, batch, tf.constant(self._steps))
        self._steps += 1
        self._actor, self._extras = acted.actor_state, acted.extras
        action = acted.action.numpy()[0]
        return action.item() if action.ndim == 0 else action

    def observe(
        self,
        observation: Nest,
        action: Any,
        reward: float,
        next_observation: Nest,
        terminated: bool,
        truncated: bool,
    ) -> None:
        """Takes in what the action led to; `next_observation` is the true successor, also at an end."""
        self._segment.append(
            Transition(
                observation=_batch_of_one("observation", observation, self._observation_spec),
                action=_batch_of_one("action", action, self._action_spec),
                reward=tf.constant([reward], tf.float32),
                terminated=tf.constant([bool(terminated)]),
                truncated=tf.constant([bool(truncated)]),
                next_observation=_batch_of_one("next_observation", next_observation, self._observation_spec),
                extras=self._extras,
            )
        )
        if terminated or truncated:
            self._actor = self._agent.init_actor(1)

    def update(self) -> dict[str, float] | None:
        """Updates the agent if a rollout is complete and returns its metrics, else None."""
        if len(self._segment) < self._rollout_length:
            return None
        segment, self._segment = self._segment[: self._rollout_length], self._segment[self._rollout_length :]
        metrics = self._update(struct.stack(segment), tf.constant(self._updates))
        self._updates += 1
        return {name: float(value) for name, value in metrics.items()}


def _advance(
    agent: Agent, actors: ActorsState, actor_state: Nest, env_state: Nest, observation: Nest, outcome: Any
) -> tuple[ActorsState, Episodes]:
    """Moves the actors one step on; returns also the episodes that ended with it."""
    is_last = outcome.terminated | outcome.truncated
    num_envs = is_last.shape[0]
    episode_return = actors.episode_return + outcome.reward
    episode_length = actors.episode_length + 1
    ended = Episodes(
        count=tf.cast(is_last, tf.int32),
        return_sum=tf.where(is_last, episode_return, 0.0),
        length_sum=tf.where(is_last, episode_length, 0),
    )
    advanced = ActorsState(
        env=env_state,
        observation=observation,
        actor=struct.where(is_last, agent.init_actor(num_envs), actor_state),
        episode_return=tf.where(is_last, 0.0, episode_return),
        episode_length=tf.where(is_last, 0, episode_length),
    )
    return advanced, ended


def _check_specs(label: str, given: Nest, expected: Nest) -> None:
    try:
        tf.nest.assert_same_structure(given, expected)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{label}: the state has another structure than before: {error}") from None
    pairs = zip(struct.named_leaves(given), struct.named_leaves(expected), strict=True)
    for (name, leaf), (_, spec) in pairs:
        if leaf.shape != spec.shape or leaf.dtype != spec.dtype:
            raise ValueError(
                f"{label}: {name} is {leaf.dtype.name} {tuple(leaf.shape)}, "
                f"expected {spec.dtype.name} {tuple(spec.shape)}"
            )


def _batch_of_one(label: str, value: Nest, spec: Nest) -> Nest:
    def convert(leaf: Any, leaf_spec: tf.TensorSpec) -> tf.Tensor:
        array = np.asarray(leaf, leaf_spec.dtype.as_numpy_dtype)
        if array.shape != tuple(leaf_spec.shape):
            raise ValueError(f"{label} has shape {array.shape}, expected {tuple(leaf_spec.shape)}")
        return tf.constant(array[np.newaxis])

    return tf.nest.map_structure(convert, value, spec)
