"""AlphaZero (Silver et al., 2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go").

A policy and a value that learn from searches with the rules of the environment, against themselves where two play. The
search is that of Danihelka et al. (2022), which needs few simulations, or that of the paper. An unfinished game is
valued by the last search in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, planning, random, replay, returns, struct
from rl_fn._src.planning.tree import of_action, rows
from rl_fn.agents.base import ActorStep, Agent, Mode, num_actions, stateless
from rl_fn.agents.groups import ActorCriticHParams, AdamHParams, Inputs, ReplayHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.tree_search import SearchHParams, policy_loss
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Model, Nest, Scalar, Transition

MAX_PLAYERS = 2  # of an environment that agents for one are not made for
_INVALID = -1e9  # the logit of what cannot be done, where it is learned from


@dataclasses.dataclass(frozen=True)
class AlphaZeroHParams(SearchHParams, ActorCriticHParams, ReplayHParams, AdamHParams):
    num_envs: int = 64
    rollout_length: int = 16
    gamma: Scalar = 1.0
    hidden_sizes: tuple[int, ...] = (128, 128)
    activation: str = "relu"
    shared_torso: bool = True
    entropy_cost: Scalar = 0.0
    value_cost: Scalar = 1.0
    replay_capacity: int = 20_000
    learning_starts: int = 2_000
    batch_size: int = field(256, "Positions per gradient step.", low=1)
    gradient_steps: int = 16
    n_step: int = field(1_000, "Moves before a target is the value of a search; at most those of a rollout.", low=1)

    @property
    def _num_waiting(self) -> int:
        return 0  # a position's target is known as soon as its rollout is over


class Position(NamedTuple):
    """What is learned from."""

    observation: Nest
    action_weights: tf.Tensor  # [A], what the search found
    value: tf.Tensor  # [], how the game went on


class AlphaZeroLearner(NamedTuple):
    trained: learning.Trained

    @property
    def actor_params(self) -> Nest:
        return self.trained.params


def positions(trajectory: Transition, num_players: int, hparams: AlphaZeroHParams) -> Position:
    """The positions of a trajectory `[T, B, ...]`, one after the other, `[T * B, ...]`.

    Args:
      trajectory: with the extras of acting: action_weights, and next_value, what the search says of the successor.
      num_players: of the game.
      hparams: the agent's.
    """
    discount = trajectory.discount(hparams.gamma)
    value = returns.n_step_returns(
        trajectory.reward,
        -discount if num_players == 2 else discount,  # what is good for the next player is bad for this one
        trajectory.extras["next_value"],
        hparams.n_step,
        truncated_t=trajectory.truncated,
    )
    made = Position(trajectory.observation, trajectory.extras["action_weights"], value)
    return tf.nest.map_structure(lambda leaf: tf.reshape(leaf, [-1, *leaf.shape[2:]]), made)


def loss(
    network: networks.ActorCritic,
    model: Model,
    to_inputs: Inputs,
    params: Nest,
    sample: replay.Sample,
    hparams: AlphaZeroHParams,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Silver et al. (2018), equation 1, without the decay of the parameters.

    Args:
      network: from `params` and inputs to logits and values.
      model: the rules.
      to_inputs: from observations to what the network takes.
      params: what is learned.
      sample: N positions.
      hparams: the agent's.

    Returns:
      A scalar, and what it has to say.
    """
    batch: Position = sample.items
    (logits, value), _ = network.step(params, (), to_inputs(batch.observation))
    logits = tf.where(model.valid_actions(model.state(batch.observation)), logits, _INVALID)
    error = batch.value - value
    of_policy = tf.reduce_mean(policy_loss(logits, batch.action_weights))
    of_value = tf.reduce_mean(losses.l2_loss(error))
    probs, log_probs = tf.nn.softmax(logits), tf.nn.log_softmax(logits)
    entropy = -tf.reduce_mean(tf.reduce_sum(probs * log_probs, axis=-1))
    total = of_policy + hparams.value_cost * of_value - hparams.entropy_cost * entropy
    metrics = {"policy_loss": of_policy, "value_loss": of_value, "entropy": entropy}
    return total, Learned(metrics, tf.abs(error))


@takes_network
def make(spec: EnvSpec, hparams: AlphaZeroHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes an AlphaZero agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete, or the environment has no rules to plan with.
    """
    actions = num_actions("alphazero", spec)
    if spec.model is None:
        raise ValueError(f"alphazero needs an environment whose spec has a model to plan with, {spec.name} has none")
    if hparams.memory != "none":
        raise ValueError(f"memory is {hparams.memory!r}, expected 'none': a model's states say all there is to know")
    model: Model = spec.model
    network, input_spec, to_inputs = hparams.make_network(spec)
    optimizer = hparams.make_optimizer(hparams.gradient_steps)
    sign, q_transform = 1.0, planning.by_parent_and_siblings
    if spec.num_players == 2:
        sign, q_transform = -1.0, planning.unscaled

    def evaluated(params: Nest, state: Nest) -> tuple[tf.Tensor, tf.Tensor]:
        (logits, value), _ = network.step(params, (), to_inputs(model.observe(state)))
        return planning.masked(logits, ~model.valid_actions(state)), value

    def recurrent_fn(params: Nest, key: random.Key, action: tf.Tensor, state: Nest) -> tuple[planning.ModelStep, Nest]:
        successor, reward, terminated = model.step(state, action, key)
        discount = sign * hparams.gamma * (1.0 - tf.cast(terminated, tf.float32))
        return planning.ModelStep(reward, discount, *evaluated(params, successor)), successor

    def init(key: random.Key) -> AlphaZeroLearner:
        return AlphaZeroLearner(learning.init_trained(network.init(key, input_spec), optimizer))

    def act(policy: OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        state = model.state(observation)
        root = planning.Root(*evaluated(policy.params, state), state)
        found = hparams.find(policy.params, key, root, recurrent_fn, mode, q_transform)
        if mode == "eval":
            return ActorStep(found.action, actor_state, {})
        child = of_action(planning.root_node(found.tree).children, found.action)
        extras = {"action_weights": found.action_weights, "next_value": rows(found.tree.values, child)}
        return ActorStep(found.action, actor_state, extras)

    def gradient_step(
        learner: AlphaZeroLearner, sample: replay.Sample, key: random.Key
    ) -> tuple[AlphaZeroLearner, Learned]:
        del key  # nothing is random
        mine = lambda params: loss(network, model, to_inputs, params, sample, hparams)
        trained, learned = learning.minimise(mine, optimizer, learner.trained)
        return AlphaZeroLearner(trained), learned

    item = Position(
        struct.space_spec(spec.observation_space), tf.TensorSpec([actions], tf.float32), tf.TensorSpec([], tf.float32)
    )
    return hparams.make_agent_with_state(
        replay.uniform(hparams.replay_capacity, item),
        init,
        stateless,
        act,
        gradient_step,
        to_items=lambda trajectory: positions(trajectory, spec.num_players, hparams),
    )
