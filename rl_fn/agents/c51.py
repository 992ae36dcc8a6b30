"""C51 (Bellemare, Dabney and Munos, 2017): a distribution over returns for each action, on fixed atoms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import losses, random, replay
from rl_fn.agents.base import Agent, num_actions
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.value_based import DistributionalHParams, Outputs
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class C51HParams(DistributionalHParams):
    num_atoms: int = field(51, "Atoms of the distribution over returns.", low=2)
    v_min: Scalar = field(-10.0, "The smallest return.")
    v_max: Scalar = field(10.0, "The largest return.")

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = isinstance(self.v_min, float) and isinstance(self.v_max, float)
        if numbers and self.v_min >= self.v_max:
            raise ValueError(f"v_min is {self.v_min:g}, expected less than v_max = {self.v_max:g}")

    @property
    def atoms(self) -> tf.Tensor:
        """The returns `[num_atoms]`."""
        return tf.linspace(self.v_min, self.v_max, self.num_atoms)


def mean(logits: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """The means `[...]` of categorical distributions `[..., atoms]` over `atoms`."""
    return tf.linalg.matvec(tf.nn.softmax(logits), atoms)


def loss(
    logits: Outputs, params: Nest, target_params: Nest, sample: replay.Sample, key: random.Key, hparams: C51HParams
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Bellemare et al. (2017), algorithm 1.

    Args:
      logits: `(params, observation, key) -> [N, A, atoms]`; with no key there is no noise.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` and their weights `[N]`.
      key: of the noise, where there is some: each of the three networks has its own.
      hparams: the agent's.

    Returns:
      The weighted mean of the cross-entropies, a scalar, and what it has to say; these are the priorities.
    """
    batch, keys, atoms = sample.items, tf.unstack(random.split(key, 3), num=3), hparams.atoms
    logits_tm1 = logits(params, batch.observation, keys[0])
    logits_t = logits(target_params, batch.next_observation, keys[1])
    selector = logits(params, batch.next_observation, keys[2]) if hparams.double_q else logits_t
    error = losses.categorical_double_q_learning(
        atoms, logits_tm1, batch.action, batch.reward, batch.discount, atoms, logits_t, mean(selector, atoms)
    )
    value = tf.reduce_mean(sample.weights * error)
    q_value = tf.reduce_mean(mean(logits_tm1, atoms))
    return value, Learned({"loss": value, "q_value": q_value}, priorities=tf.stop_gradient(error))


@takes_network
def make(spec: EnvSpec, hparams: C51HParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a C51 agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    return make_named("c51", spec, hparams, loss)


def make_named(name: str, spec: EnvSpec, hparams: C51HParams, loss: Callable[..., tuple[tf.Tensor, Learned]]) -> Agent:
    """As `make`, for an agent of another name that is made of the same parts."""
    network = hparams.make_network(spec, num_actions(name, spec), hparams.num_atoms)
    q_values = lambda params, observation, key: mean(network.apply(params, observation, key), hparams.atoms)
    mine = lambda *args: loss(network.apply, *args, hparams)
    return hparams.make_value_agent(spec, network.init, q_values, mine)
