"""Rainbow (Hessel et al., 2018): six improvements of DQN, each a line or two marked by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, replay
from rl_fn.agents.base import Agent, Mode, num_actions
from rl_fn.agents.groups import AdamHParams, PrioritizedReplayHParams, TorsoHParams
from rl_fn.agents.hparams import field
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar

Logits = Callable[
    [Nest, Nest, random.Key], tf.Tensor
]  # (params, observation [N, ...], key of the noise) -> [N, A, atoms]


@dataclasses.dataclass(frozen=True)
class RainbowHParams(PrioritizedReplayHParams, TorsoHParams, AdamHParams):
    n_step: int = 3
    hidden_sizes: tuple[int, ...] = (128,)
    stream_sizes: tuple[int, ...] = field((128,), "Widths of the hidden layers of value and advantage.")
    num_atoms: int = field(51, "Atoms of the distribution over returns.", low=2)
    v_min: Scalar = field(-10.0, "The smallest return.")
    v_max: Scalar = field(10.0, "The largest return.")
    noise_deviation: float = field(0.5, "Initial deviation of the noisy layers.", low=0.0)
    adam_epsilon: Scalar = 0.01 / 64
    target_period: int = field(500, "Gradient steps between two copies of the parameters to the target.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = isinstance(self.v_min, float) and isinstance(self.v_max, float)
        if numbers and self.v_min >= self.v_max:
            raise ValueError(f"v_min is {self.v_min:g}, expected less than v_max = {self.v_max:g}")


def mean(logits: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """The means `[...]` of categorical distributions `[..., atoms]` over `atoms`."""
    return tf.linalg.matvec(tf.nn.softmax(logits), atoms)


def loss(
    logits: Logits,
    params: Nest,
    target_params: Nest,
    sample: replay.Sample,
    key: random.Key,
    *,
    atoms: tf.Tensor,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Hessel et al. (2018), section 3, with noise of its own in each of the three networks.

    Args:
      logits: `(params, observation, key) -> [N, A, atoms]`.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` (multi-step) and their weights `[N]` (prioritised).
      key: of the noise.
      atoms: `[atoms]`, the returns (distributional).

    Returns:
      The weighted mean of the cross-entropies, a scalar, and what it has to say; these are the priorities.
    """
    batch, keys = sample.items, tf.unstack(random.split(key, 3), num=3)
    logits_tm1 = logits(params, batch.observation, keys[0])
    logits_t = logits(target_params, batch.next_observation, keys[1])
    double_q = mean(logits(params, batch.next_observation, keys[2]), atoms)
    error = losses.categorical_double_q_learning(
        atoms, logits_tm1, batch.action, batch.reward, batch.discount, atoms, logits_t, double_q
    )
    value = tf.reduce_mean(sample.weights * error)
    q_value = tf.reduce_mean(mean(logits_tm1, atoms))
    return value, Learned({"loss": value, "q_value": q_value}, priorities=tf.stop_gradient(error))


def make(spec: EnvSpec, hparams: RainbowHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a Rainbow agent.

    Args:
      spec: of the environment.
      hparams: the hyper-parameters.
      loss: called as the one above.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("rainbow", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    atoms = tf.linspace(hparams.v_min, hparams.v_max, hparams.num_atoms)
    dueling = networks.dueling(torso, actions, hparams.stream_sizes, num_atoms=hparams.num_atoms)
    noisy = networks.noisy(dueling, hparams.noise_deviation, plain=("torso",))
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> learning.TargetLearner:
        return learning.init_target_learner(noisy.init(key, input_spec), optimizer)

    def logits(params: Nest, observation: Nest, key: random.Key) -> tf.Tensor:
        return noisy.apply(noisy.draw(params, key), to_inputs(observation))

    def choose(policy: OffPolicyPolicy, observation: Nest, key: random.Key, mode: Mode) -> tf.Tensor:
        noise_key, tie_key = tf.unstack(random.split(key))
        params = policy.params if mode == "eval" else noisy.draw(policy.params, noise_key)
        return policies.greedy(tie_key, mean(noisy.apply(params, to_inputs(observation)), atoms))

    gradient_step = learning.target_gradient_step(
        lambda *args: loss(logits, *args, atoms=atoms), optimizer, learning.periodic(hparams.target_period)
    )
    return hparams.make_agent(hparams.make_replay(spec), init, choose, gradient_step, beta=hparams.beta)
