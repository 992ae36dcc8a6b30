"""Phasic policy gradient (Cobbe et al., 2021): now and then the policy's network learns the value too, as features.

A policy phase is a number of PPO's updates. The auxiliary phase behind it goes over all of their rollouts: a second
value on the policy's torso learns the returns, while the policy is held where it was, and the value learns on.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, random
from rl_fn._src.scan import scan
from rl_fn.agents import ppo
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.on_policy import Model
from rl_fn.learning import Rollout, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class PPGHParams(ppo.PPOHParams):
    num_epochs: int = 1
    policy_phase: int = field(16, "Updates before each auxiliary phase.", low=1)
    auxiliary_epochs: int = field(6, "Passes over the rollouts of the policy phase.", low=1)
    clone_cost: Scalar = field(1.0, "Weight of the divergence from the policy before the phase.", low=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory != "none" or self.shared_torso:
            raise ValueError(
                f"memory is {self.memory!r} and shared_torso is {self.shared_torso}, expected 'none' and False: "
                "ppg keeps policy and value apart, and single steps for the auxiliary phase"
            )


class Kept(NamedTuple):
    """Steps of a policy phase, `[policy_phase, T * B, ...]`."""

    inputs: Nest
    target: tf.Tensor  # of the values


class PPGLearner(NamedTuple):
    ppo: ppo.PPOLearner
    auxiliary_opt_state: Nest
    kept: Kept

    @property
    def params(self) -> Nest:
        return self.ppo.params


def auxiliary_loss(model: Model, params: Nest, old_params: Nest, batch: Kept, hparams: PPGHParams) -> tf.Tensor:
    """The loss of a minibatch `[N, ...]` of the auxiliary phase: Cobbe et al. (2021), section 2.2, to be minimised.

    Args:
      model: of the agent; the last of the policy's outputs is the auxiliary value.
      params: what is learned.
      old_params: those at the end of the policy phase.
      batch: steps, and what their values should have been.
      hparams: the agent's.
    """
    (outputs, value), _ = model.network.step(params, (), batch.inputs)
    (old_outputs, _), _ = model.network.step(old_params, (), batch.inputs)
    divergence = model.head.distribution(old_outputs).kl_divergence(model.head.distribution(outputs))
    errors = losses.l2_loss(outputs[..., -1] - batch.target) + losses.l2_loss(value - batch.target)
    return tf.reduce_mean(errors + hparams.clone_cost * divergence)


@takes_network
def make(spec: EnvSpec, hparams: PPGHParams) -> Agent:
    """Makes a PPG agent; raises ValueError without a policy for the action space."""
    model = _with_a_second_value(hparams, spec)
    init_ppo, learn_ppo = ppo.learner(model, hparams)
    num_minibatches = hparams.policy_phase * hparams.num_minibatches

    def init(key: random.Key) -> PPGLearner:
        learner = init_ppo(key)
        empty = lambda *shape: tf.zeros([hparams.policy_phase, hparams.schedule.steps, *shape])
        kept = Kept(empty(*model.input_spec.shape), empty())
        return PPGLearner(learner, hparams.make_optimizer().init(learner.params), kept)

    def auxiliary_phase(learner: PPGLearner, is_due: tf.Tensor, key: random.Key) -> PPGLearner:
        steps = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), learner.kept)
        num_steps, old_params = steps.target.shape[0], learner.params
        orders = random.permutation(key, num_steps, [hparams.auxiliary_epochs])
        rows = tf.reshape(orders, [-1, num_steps // num_minibatches])
        optimizer = hparams.make_optimizer(num_updates=learner.ppo.num_updates - 1)  # of the update that it belongs to

        def step(carry: tuple[tf.Tensor, Trained], _: None) -> tuple[tuple[tf.Tensor, Trained], None]:
            count, trained = carry
            batch = tf.nest.map_structure(lambda x: tf.gather(x, tf.gather(rows, count)), steps)
            mine = lambda params: (auxiliary_loss(model, params, old_params, batch, hparams), ())
            return (count + 1, learning.minimise(mine, optimizer, trained)[0]), None

        # No steps at all where none are due, which a conditional does not bring when it is vectorised over copies.
        start = tf.constant(0), Trained(learner.params, learner.auxiliary_opt_state)
        (_, trained), _ = scan(step, start, length=tf.where(is_due, rows.shape[0], 0))
        return learner._replace(ppo=learner.ppo._replace(params=trained.params), auxiliary_opt_state=trained.opt_state)

    def learn(learner: PPGLearner, rollout: Rollout, key: random.Key) -> tuple[PPGLearner, Metrics]:
        ppo_key, auxiliary_key = tf.unstack(random.split(key))
        target = rollout.value + hparams.advantages(model, learner.params, rollout)
        slot = learner.ppo.num_updates % hparams.policy_phase
        row = lambda x: tf.reshape(x, [1, -1, *x.shape[2:]])
        put = lambda kept, new: tf.tensor_scatter_nd_update(kept, tf.reshape(slot, [1, 1]), row(new))
        kept = tf.nest.map_structure(put, learner.kept, Kept(rollout.inputs, target))
        trained, metrics = learn_ppo(learner.ppo, rollout, ppo_key)
        learner = learner._replace(ppo=trained, kept=kept)
        is_due = slot == hparams.policy_phase - 1
        return auxiliary_phase(learner, is_due, auxiliary_key), metrics

    return hparams.make_agent(model, init, learn)


def _with_a_second_value(hparams: PPGHParams, spec: EnvSpec) -> Model:
    """The usual model, with one more output of the policy that its head does not see."""
    both = networks.separate(policy=hparams.make_policy_layer(spec), value=networks.dense(1))
    layer = networks.Network(both.init, lambda *args: tf.concat(list(both.apply(*args).values()), axis=-1))
    network, _, _ = hparams.make_network(spec, layer)
    model = hparams.make_model(spec)
    of_policy = lambda outputs: model.head.distribution(outputs[..., : model.head.num_outputs])
    return model._replace(network=network, head=model.head._replace(distribution=of_policy))
