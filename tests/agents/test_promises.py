"""What is easily promised and not kept: schedules that change nothing, a softmax taken twice, targets that are lost."""

import itertools

import numpy as np
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn.agents import dqn, ppo
from rl_fn.runs import checkpoint

ENV = envs.make("CartPole-v1")


def trained(agent, iterations):
    """The state at the start and after each iteration."""
    state = loops.init_state(agent, ENV, random.key(0))
    compiled = loops.compile(loops.train_step(agent, ENV), state)
    states = [state]
    for _ in range(iterations):
        compiled.run(1)
        states.append(compiled.read())
    return states


def moved(before, after):
    params = zip(tf.nest.flatten(before.agent.policy.params), tf.nest.flatten(after.agent.policy.params), strict=True)
    return sum(float(tf.reduce_sum(tf.abs(b - a))) for a, b in params)


def test_a_learning_rate_that_is_annealed_comes_to_nothing_with_the_last_update():
    steps = []
    for annealed in (True, False):
        hparams = ppo.PPOHParams(num_envs=2, rollout_length=8, num_minibatches=1, num_epochs=1, train_steps=32)
        agent = ppo.make(ENV.spec, hparams.override(hidden_sizes=(8,), anneal_learning_rate=annealed))
        states = trained(agent, 3)  # the run has two
        steps.append([moved(*pair) for pair in itertools.pairwise(states)])
    assert steps[0][0] > 0
    assert steps[0][2] == 0
    assert min(steps[1]) > 0.1 * steps[1][0] > 0


def test_actions_are_as_frequent_as_the_softmax_of_the_logits_says():
    agent = ppo.make(ENV.spec, ppo.PPOHParams(num_envs=2).override(hidden_sizes=(8,)))
    policy = agent.init(random.key(0)).policy
    far = tf.nest.map_structure(lambda leaf: 30 * leaf if leaf.dtype.is_floating else leaf, policy)
    observation = tf.tile([[0.5, -1.0, 0.1, 2.0]], [10_000, 1])
    acted = agent.act(far, (), observation, random.key(1), "train")
    probabilities = np.exp(acted.extras["log_prob"].numpy())
    for action in (0, 1):
        chosen = acted.action.numpy() == action
        assert chosen.any()
        np.testing.assert_allclose(chosen.mean(), probabilities[chosen][0], atol=0.02)
    assert abs(probabilities[0] - 0.5) > 0.1


def test_a_target_network_that_is_restored_is_the_one_that_was_saved(tmp_path):
    hparams = dqn.DQNHParams(num_envs=2, rollout_length=4, learning_starts=8, batch_size=4, replay_capacity=100)
    agent = dqn.make(ENV.spec, hparams.override(hidden_sizes=(8,), target_period=1000))
    state = trained(agent, 3)[-1]
    restored = checkpoint.restore(checkpoint.load(checkpoint.save(tmp_path, 3, state, {})), trained(agent, 1)[0])
    assert checkpoint.digest(restored) == checkpoint.digest(state)
    learner = restored.agent.learner
    online, target = learner.online.params, learner.target_params
    assert any(np.any(a != b) for a, b in zip(tf.nest.flatten(online), tf.nest.flatten(target), strict=True))
