"""Every agent in every loop: around host environments, stepped from plain Python; copies are in test_scalars.py."""

import time

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, sets

ON_POLICY = {"num_envs": 2, "rollout_length": 4, "hidden_sizes": (8,), "train_steps": 64}
OFF_POLICY = {**ON_POLICY, "learning_starts": 8, "batch_size": 4, "replay_capacity": 100}
ALL_OPTIONS = {
    "dueling": True,
    "n_step": 3,
    "prioritized": True,
    "noise": "independent",
    "stream_sizes": (8,),
    "epsilon_schedule": "per_actor",
    "target_step_size": 0.5,
}
SEQUENCES = {"sequence_length": 3, "burn_in": 2, "sequence_period": 2, "n_step": 2}
WITHOUT_LAYERS = {name: value for name, value in OFF_POLICY.items() if name != "hidden_sizes"}
# agent -> the environment, and hyper-parameters
AGENTS = {
    "ppo": (
        "CartPole-v1",
        {**ON_POLICY, "memory": "lstm", "memory_units": 4, "sequence_length": 4, "num_minibatches": 2},
    ),
    "a2c": ("CartPole-v1", {**ON_POLICY, "memory": "gru", "memory_units": 4}),
    "appo": ("CartPole-v1", ON_POLICY),
    "dpo": ("CartPole-v1", {**ON_POLICY, "num_minibatches": 2, "stop_kl": 0.5, "anneal_clip_epsilon": True}),
    "ppg": ("CartPole-v1", {**ON_POLICY, "num_minibatches": 2, "policy_phase": 2, "auxiliary_epochs": 1}),
    "rnd": ("CartPole-v1", {**ON_POLICY, "num_minibatches": 2, "novelty_sizes": (8,)}),
    "trpo": ("CartPole-v1", {**ON_POLICY, "num_minibatches": 2}),
    "vmpo_box": ("Pendulum-v1", {**ON_POLICY, "num_minibatches": 2, "noise_period": 2}),
    "vpg": ("CartPole-v1", ON_POLICY),
    "ppo_box": ("Pendulum-v1", {**ON_POLICY, "normalize_observations": True, "normalize_rewards": True}),
    "impala": ("CartPole-v1", ON_POLICY),
    "pqn": ("CartPole-v1", {**ON_POLICY, "num_minibatches": 2}),
    "dqn": ("CartPole-v1", OFF_POLICY),
    "dqn_all": ("CartPole-v1", {**OFF_POLICY, **ALL_OPTIONS}),
    "bootstrapped": ("CartPole-v1", {**OFF_POLICY, "num_heads": 2}),
    "c51": ("CartPole-v1", {**OFF_POLICY, "num_atoms": 5}),
    "qrdqn": ("CartPole-v1", {**OFF_POLICY, "num_quantiles": 5}),
    "iqn": ("CartPole-v1", {**OFF_POLICY, "num_quantiles": 4, "num_acting_quantiles": 4}),
    "fqf": ("CartPole-v1", {**OFF_POLICY, "num_quantiles": 4, "fraction_learning_rate": 1e-3}),
    "munchausen": ("CartPole-v1", OFF_POLICY),
    "r2d2": (
        "CartPole-v1",
        {**OFF_POLICY, "memory": "lstm", "memory_units": 4, "stream_sizes": (4,), **SEQUENCES},
    ),
    "muzero": (
        "CartPole-v1",
        {**OFF_POLICY, "num_simulations": 3, "n_step": 2, "unroll_steps": 2, "model_sizes": (8,), "search": "puct"},
    ),
    "rainbow": ("CartPole-v1", {**OFF_POLICY, "stream_sizes": (8,), "num_atoms": 5}),
    "sac": ("CartPole-v1", OFF_POLICY),
    "sac_box": ("Pendulum-v1", OFF_POLICY),
    "td3": ("Pendulum-v1", OFF_POLICY),
    "crossq": ("Pendulum-v1", {**OFF_POLICY, "critic_sizes": (8,), "policy_delay": 1}),
    "ddpg": ("CartPole-v1", {**OFF_POLICY, "noise_damping": 0.2}),
    "droq": ("Pendulum-v1", {**OFF_POLICY, "gradient_steps": 2, "policy_delay": 1}),
    "dreamer": (
        "CartPole-v1",
        {"size": "0.1m", "num_bins": 9, "horizon": 2, "sequence_length": 3, "sequence_period": 2, **WITHOUT_LAYERS},
    ),
    "mpo": ("Pendulum-v1", {**OFF_POLICY, "num_samples": 4, "target_period": 2}),
}
# that are another here with another loss or network, and differ from it in no loop
ALIKE = {"appo", "c51", "dpo", "dqn_all", "dreamer", "droq", "fqf", "iqn", "munchausen", "qrdqn", "rnd"}


def made(name, **more):
    env_name, settings = AGENTS[name]
    agent_name = name.partition("_")[0]
    values = sets.make(sets.SETS[agent_name], **{**settings, **more})
    env = envs.make(env_name)
    return env, sets.agent_module(agent_name).make(env.spec, values), values


def assert_learned(before, after):
    for leaf in tf.nest.flatten(after):
        if leaf.dtype.is_floating:
            assert np.all(np.isfinite(leaf))
    changed = [np.any(a != b) for a, b in zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True)]
    assert np.mean(changed) > 0.5


@pytest.mark.parametrize("name", AGENTS)
def test_host_environments(name):
    env_name, settings = AGENTS[name]
    env = envs.make(f"gymnasium:{env_name}", settings["num_envs"])
    _, agent, _ = made(name)
    state = loops.init_host_state(agent, random.key(0))
    compiled = loops.compile(loops.host_step(agent), state)
    times, chunks = [time.perf_counter()], []
    for chunk in loops.host_train(agent, env, compiled, 4, max_chunk=1):
        chunks.append(chunk)
        times.append(time.perf_counter())
    assert chunks[-1].iteration == 4
    first, *others = np.diff(times)
    assert min(others) < 0.2 * first  # nothing is compiled again, also not for other values
    assert_learned(state.agent.policy, compiled.read(lambda state: state.agent.policy))
    told = {tag.removeprefix("critic_") for tag in chunks[-1].metrics}
    assert {"grad_norm", "learning_rate"} <= told
    assert ("replay/size" in told) == ("learning_starts" in settings)
    evaluate = loops.host_evaluate(agent, env, 2)
    returns, lengths, finished = evaluate(compiled.read(lambda s: s.agent.policy), random.key(1))
    assert np.all(np.isfinite(returns))
    assert np.all(lengths > 0)
    assert finished.all()


@pytest.mark.parametrize("name", sorted(set(AGENTS) - ALIKE))
def test_a_plain_python_loop(name):
    env, agent, _ = made(name, num_envs=1, **({"num_minibatches": 1} if name.startswith("ppo") else {}))
    stateful = loops.StatefulAgent(agent, env.spec, seed=0)
    before = tf.nest.map_structure(lambda leaf: leaf.numpy(), stateful.state.policy)
    plain = gymnasium.make(AGENTS[name][0])
    observation, _ = plain.reset(seed=0)
    updates = 0
    for _ in range(16):
        action = stateful.act(observation)
        assert plain.action_space.contains(action)
        successor, reward, terminated, truncated, _ = plain.step(action)
        stateful.observe(observation, action, reward, successor, terminated, truncated)
        updates += stateful.update() is not None
        observation = plain.reset()[0] if terminated or truncated else successor
    assert updates == 4
    assert_learned(tf.nest.map_structure(tf.constant, before), stateful.state.policy)
