"""MuZero (Schrittwieser et al., 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model").

It plans with a model that is learned only to predict rewards, values and its own policy. The search is that of
Danihelka et al. (2022), or that of the paper. A part of each batch is searched again with newer parameters, as by
Schrittwieser et al. (2021), "Online and offline reinforcement learning by planning with a learned model".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, networks, planning, random, replay, returns, struct, transforms
from rl_fn.agents.base import ActorStep, Agent, Mode, num_actions, stateless
from rl_fn.agents.groups import Inputs, PrioritizedReplayHParams, SequenceReplayHParams, TorsoHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.tree_search import SearchHParams, policy_loss
from rl_fn.agents.value_based import TargetHParams
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar

_SMALLEST_PRIORITY = 1e-3  # a value that is right is no reason never to see a reward and a policy again


@dataclasses.dataclass(frozen=True)
class MuZeroHParams(SearchHParams, SequenceReplayHParams, PrioritizedReplayHParams, TorsoHParams, TargetHParams):
    num_envs: int = 16
    rollout_length: int = 8
    num_simulations: int = 16
    batch_size: int = field(64, "Sequences per gradient step.", low=1)
    gradient_steps: int = 8
    n_step: int = 10
    hidden_sizes: tuple[int, ...] = (64,)
    priority_exponent: Scalar = 1.0
    importance_exponent: Scalar = 1.0
    target_period: int = 200
    state_size: int = field(64, "Size of the states that the model plans in.", low=1)
    model_sizes: tuple[int, ...] = field((64,), "Widths of the hidden layers of dynamics, policy, value and reward.")
    unroll_steps: int = field(5, "Steps of the model that are learned from together.", low=1)
    support: float = field(15.0, "The largest value and reward, after they were squashed.", above=0.0)
    num_bins: int = field(51, "Bins of values and rewards, from -support to support.", low=2)
    value_cost: Scalar = field(0.25, "Weight of the value loss.", low=0.0)
    reanalyse_fraction: float = field(0.25, "Of each batch, which is searched again.", low=0.0, high=1.0)

    def make_store(self, spec: EnvSpec) -> replay.Store:
        """Makes what keeps the steps, at least `replay_capacity` of them: items are `replay.Sequence`s."""
        weights = tf.TensorSpec([num_actions("muzero", spec)], tf.float32)
        capacity = -(-self.replay_capacity // self.num_envs) * self.num_envs
        step, length = self.step_spec(spec, action_weights=weights), self.unroll_steps + self.n_step
        return replay.sequences(capacity, step, num_streams=self.num_envs, length=length)

    def make_pair(self) -> transforms.TransformPair:
        """From values and rewards to weights of bins, and back."""
        return transforms.muzero_pair(-self.support, self.support, self.num_bins, transforms.SIGNED_HYPERBOLIC_PAIR)

    def look(self, model: networks.LatentModel, params: Nest, inputs: tf.Tensor, key: random.Key, mode: Mode) -> Nest:
        """Searches from what is observed, inputs `[B, ...]`; a `planning.PolicyOutput`."""
        decode = lambda outputs: self.make_pair().apply_inv(tf.nn.softmax(outputs))

        def predicted(params: Nest, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits, value = model.predict(params, state)
            return logits, decode(value)

        def recurrent_fn(params: Nest, key: random.Key, action: tf.Tensor, state: tf.Tensor) -> tuple:
            del key  # nothing is random
            successor, outputs = model.advance(params, state, action)
            reward = decode(outputs)
            discount = tf.zeros_like(reward) + self.gamma
            return planning.ModelStep(reward, discount, *predicted(params, successor)), successor

        state = model.represent(params, inputs)
        return self.find(params, key, planning.Root(*predicted(params, state), state), recurrent_fn, mode)


def loss(
    model: networks.LatentModel,
    to_inputs: Inputs,
    params: Nest,
    target_params: Nest,
    sample: replay.Sample,
    key: random.Key,
    hparams: MuZeroHParams,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Schrittwieser et al. (2020), equation 1 and appendix G.

    Behind the end of an episode rewards and values are 0, and nothing is asked of the policy.

    Args:
      model: on squashed values and rewards, as weights of bins.
      to_inputs: from observations to what the model takes.
      params: what is learned.
      target_params: what values the successors, and searches again.
      sample: N items `replay.Sequence`, steps `[unroll_steps + n_step, N, ...]`; weights `[N]`.
      key: of the searches.
      hparams: the agent's.

    Returns:
      The weighted mean, a scalar, and what it has to say.
    """
    steps, unroll, pair = sample.items.steps, hparams.unroll_steps, hparams.make_pair()
    last = model.represent(target_params, to_inputs(steps.next_observation))
    v_t = pair.apply_inv(tf.nn.softmax(model.predict(target_params, last)[1]))
    discount = steps.discount(hparams.gamma)
    target = returns.n_step_returns(steps.reward, discount, v_t, hparams.n_step, truncated_t=steps.is_last)
    weights = _action_weights(model, to_inputs, target_params, steps, key, hparams)
    is_there, is_known = _reached(steps.is_last, steps.truncated, unroll)
    here, known = tf.cast(is_there, tf.float32), tf.cast(is_known, tf.float32)
    state = model.represent(params, to_inputs(struct.at(steps.observation, 0)))
    of_policy = of_value = of_reward = tf.zeros_like(v_t[0])
    first_value = None
    for k in range(unroll + 1):
        logits, value = model.predict(params, state)
        first_value = pair.apply_inv(tf.nn.softmax(value)) if first_value is None else first_value
        scale = 1.0 if k == 0 else 1.0 / unroll
        of_policy += scale * here[k] * policy_loss(logits, weights[k])
        of_value += scale * known[k] * policy_loss(value, pair.apply(here[k] * target[k]))
        if k < unroll:
            state, reward = model.advance(params, state, steps.action[k])
            of_reward += known[k] * policy_loss(reward, pair.apply(here[k] * steps.reward[k])) / unroll
            state = 0.5 * state + 0.5 * tf.stop_gradient(state)  # so that what flows back does not grow
    total = of_policy + hparams.value_cost * of_value + of_reward
    parts = {"policy_loss": of_policy, "value_loss": of_value, "reward_loss": of_reward, "value": first_value}
    metrics = {name: tf.reduce_mean(part) for name, part in parts.items()}
    mean = tf.reduce_mean(sample.weights * total)
    error = tf.abs(tf.stop_gradient(first_value) - target[0])
    return mean, Learned({"loss": mean, **metrics}, error + _SMALLEST_PRIORITY)


def _action_weights(
    model: networks.LatentModel,
    to_inputs: Inputs,
    params: Nest,
    steps: struct.Transition,
    key: random.Key,
    hparams: MuZeroHParams,
) -> tf.Tensor:
    """The policies `[unroll_steps + 1, N, A]` to learn from, those of some sequences searched again."""
    length, old = hparams.unroll_steps + 1, steps.extras["action_weights"][: hparams.unroll_steps + 1]
    size = old.shape[1]
    again = round(hparams.reanalyse_fraction * size)
    if not again:
        return old
    # A batch is in the order of its slots; always the first of it would be always the same part of the replay.
    first_key, search_key = tf.unstack(random.split(key))
    place = (tf.range(size) - random.randint(first_key, [], 0, size)) % size
    rows = tf.argsort(place)[:again]
    inputs = to_inputs(tf.nest.map_structure(lambda leaf: tf.gather(leaf[:length], rows, axis=1), steps.observation))
    inputs = tf.nest.map_structure(lambda leaf: tf.reshape(leaf, [length * again, *leaf.shape[2:]]), inputs)
    new = hparams.look(model, params, inputs, search_key, "train").action_weights
    new = tf.stop_gradient(tf.reshape(new, [length, again, new.shape[-1]]))
    return tf.where(place[:, tf.newaxis] < again, tf.gather(new, tf.minimum(place, again - 1), axis=1), old)


def _reached(is_last: tf.Tensor, truncated: tf.Tensor, unroll: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the first steps, `bool[unroll + 1, N]`: whether the episode goes on, and whether its future is known."""
    here = known = tf.ones_like(is_last[0])
    rows = [(here, known)]
    for k in range(unroll):
        known = known & ~(here & truncated[k])
        here = here & ~is_last[k]
        rows.append((here, known))
    return tf.stack([row[0] for row in rows]), tf.stack([row[1] for row in rows])


@takes_network
def make(spec: EnvSpec, hparams: MuZeroHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a MuZero agent, of the loss above or another; raises ValueError if the action space is not Discrete."""
    actions = num_actions("muzero", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    model = networks.latent_model(
        torso,
        actions,
        state_size=hparams.state_size,
        hidden_sizes=hparams.model_sizes,
        num_value_outputs=hparams.num_bins,
        num_reward_outputs=hparams.num_bins,
    )
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> learning.TargetLearner:
        return learning.init_target_learner(model.init(key, input_spec), optimizer)

    def act(policy: OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        found = hparams.look(model, policy.params, to_inputs(observation), key, mode)
        extras = {} if mode == "eval" else {"action_weights": found.action_weights}
        return ActorStep(found.action, actor_state, extras)

    mine = lambda params, target_params, sample, key: loss(
        model, to_inputs, params, target_params, sample, key, hparams
    )
    return hparams.make_agent_with_state(
        hparams.make_replay(spec),
        init,
        stateless,
        act,
        learning.target_gradient_step(mine, optimizer, hparams.target_update),
        min_items=hparams.min_sequences(hparams.unroll_steps + hparams.n_step),
        to_items=lambda steps: steps,
        beta=hparams.beta,
        shared=False,  # items are sequences, whose second axis is that of the batch
    )
