import gc
import re

import gym
import gymnasium
import numpy as np
import psutil
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, struct
from rl_fn.agents import dqn, ppo

ENV = envs.make("CartPole-v1")
DQN = dqn.DQNHParams(
    train_steps=4_000, num_envs=4, rollout_length=2, replay_capacity=3_001, learning_starts=16, batch_size=8
).override(hidden_sizes=(16,))
PPO = ppo.PPOHParams(train_steps=4_000, num_envs=4, rollout_length=8).override(hidden_sizes=(16,))


def make(hparams):
    module = dqn if isinstance(hparams, dqn.DQNHParams) else ppo
    agent = module.make(ENV.spec, hparams)
    return agent, loops.train_step(agent, ENV)


def compiled(hparams, seed=0):
    agent, step = make(hparams)
    return loops.compile(step, loops.init_state(agent, ENV, random.key(seed)))


def numpy(state):
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), state)


def assert_equal(first, second):
    for (name, a), (_, b) in zip(struct.named_leaves(first), struct.named_leaves(second), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.fixture(scope="module", params=[DQN, PPO], ids=["dqn", "ppo"])
def trained(request):
    runner = compiled(request.param)
    metrics = runner.run(20)
    return request.param, runner, metrics, numpy(runner.read())


def test_the_replay_is_updated_in_place():
    runner = compiled(DQN)
    text = runner.hlo()
    rows = DQN.replay_capacity
    assert {f"f32[{rows},10]", f"s32[{rows},1]"} <= set(re.findall(r"\w+\[[\d,]+\]", text))
    assert " copy(" in text  # so that the next line can find something
    assert not re.search(rf"= \w+\[{rows}[,\]]\S* copy", text)
    header = text.splitlines()[0]
    variables = len(tf.nest.flatten(runner.read()))
    assert header.count("may-alias") + header.count("must-alias") == variables


def test_lowering_for_an_absent_gpu_takes_the_state_and_returns_it():
    def step(state):
        return {"count": state["count"] + 1, "sum": state["sum"] * 2.0}, {"total": tf.reduce_sum(state["sum"])}

    runner = loops.compile(step, {"count": tf.constant(0), "sum": tf.ones([3])})
    layout = re.search(r"entry_computation_layout=\{(.*?)\}\n", re.sub(r"\{[\d,]*\}", "", runner.lower("GPU", "hlo")))
    assert layout.group(1) == "(s32[], s32[], f32[3])->(s32[], f32[3], f32[])"
    assert len(runner.lower("GPU")) > 100


def test_chunks_do_not_matter(trained):
    hparams, _, _, after = trained
    again = compiled(hparams)
    for size in (1, 7, 12):
        again.run(size)
    assert again.trace_count == 1
    assert_equal(numpy(again.read()), after)


def test_a_restored_state_goes_on_as_if_nothing_had_happened(trained):
    hparams, _, _, after = trained
    first = compiled(hparams)
    first.run(9)
    second = compiled(hparams, seed=5)
    second.restore(numpy(first.read()))
    second.run(11)
    assert_equal(numpy(second.read()), after)


def test_a_copy_is_what_it_is_alone(trained):
    hparams, _, _, after = trained
    agent, step = make(hparams)
    states = [loops.init_state(agent, ENV, random.key(seed)) for seed in (4, 0, 7)]
    together = loops.compile(loops.vectorize(step), struct.stack(states))
    together.run(20)
    for (name, alone), (_, copies) in zip(
        struct.named_leaves(after), struct.named_leaves(numpy(together.read())), strict=True
    ):
        np.testing.assert_allclose(copies[1], alone, rtol=1e-2, atol=1e-3, err_msg=name)
    actions = struct.named_leaves(numpy(together.read(lambda state: state.actors)))
    assert any(np.any(leaf[0] != leaf[1]) for _, leaf in actions)


def test_a_thousand_calls_trace_once_and_leak_nothing(trained):
    _, runner, _, _ = trained
    for _ in range(100):
        runner.run(1)
    gc.collect()
    before = psutil.Process().memory_info().rss
    for _ in range(900):
        runner.run(1)
    gc.collect()
    assert psutil.Process().memory_info().rss - before < 8 * 2**20
    assert runner.trace_count == 1


def test_metrics_count_the_episodes(trained):
    hparams, _, metrics, after = trained
    steps = 20 * hparams.num_envs * hparams.rollout_length
    unfinished = after.actors.episode_length.sum()
    assert metrics["episode_length_sum"] + unfinished == steps
    assert metrics["episode_return_sum"] == metrics["episode_length_sum"]
    summary = loops.summarize(metrics, 20)
    np.testing.assert_allclose(summary["episode_return"] * summary["episode_count"], metrics["episode_return_sum"])


def test_iterations_are_counted(trained):
    _, _, _, after = trained
    assert after.iteration == 20


def test_wrong_shapes_fail_at_trace_time_with_the_name():
    def step(state):
        return {"weights": state["weights"][:-1], "count": state["count"]}, {}

    runner = loops.compile(step, {"weights": tf.zeros([3]), "count": tf.constant(0)})
    with pytest.raises(ValueError, match=r"weights is float32 \(2,\), expected float32 \(3,\)"):
        runner.run(1)
    with pytest.raises(ValueError, match=r"restore: count is float32 \(\), expected int32 \(\)"):
        runner.restore({"weights": tf.zeros([3]), "count": tf.constant(0.0)})


def test_a_trajectory_of_the_wrong_shape_is_refused_by_name():
    agent, _ = make(DQN)
    state = agent.init(random.key(0))
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    _, (trajectory, _) = loops.rollout(agent, ENV, state.policy, actors, random.key(2), 3)
    with pytest.raises(ValueError, match=r"add: observation is float32 \(3, 4, 3\), expected float32 \[T, B, 4\]"):
        agent.update(state, trajectory._replace(observation=trajectory.observation[..., :3]), random.key(3))


def test_rollout_is_time_major_and_consistent():
    agent, _ = make(PPO)
    policy = agent.init(random.key(0)).policy
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    run = tf.function(lambda: loops.rollout(agent, ENV, policy, actors, random.key(2), 60), jit_compile=True)
    after, (trajectory, episodes) = run()
    assert trajectory.observation.shape == (60, 4, 4)
    last = trajectory.is_last.numpy()
    assert last.any()
    continued = trajectory.next_observation.numpy()[:-1], trajectory.observation.numpy()[1:]
    same = np.all(continued[0] == continued[1], axis=-1)
    np.testing.assert_array_equal(same, ~last[:-1])
    np.testing.assert_array_equal(episodes.count, last.sum(0))
    assert np.all(after.episode_length + episodes.length_sum == 60)


def test_evaluation_plays_whole_episodes_and_explores_nothing():
    agent, _ = make(DQN)
    policy = agent.init(random.key(0)).policy
    evaluate = loops.evaluate(agent, ENV, num_episodes=20, chunk=7)
    returns, lengths = evaluate(policy, random.key(1))
    assert returns.shape == lengths.shape == (20,)
    np.testing.assert_array_equal(returns, lengths)
    assert lengths.min() >= 8
    np.testing.assert_array_equal(evaluate(policy, random.key(1))[0], returns)
    copies = loops.evaluate(agent, ENV, num_episodes=20, copies=True, chunk=7)
    both, _ = copies(struct.stack([policy, policy]), tf.stack([random.key(1), random.key(2)]))
    np.testing.assert_array_equal(both[0], returns)
    assert np.any(both[1] != returns)
    observations = random.normal(random.key(3), [50, 4])
    greedy, again, exploring = (
        agent.act(policy, (), observations, random.key(seed), mode).action
        for seed, mode in [(4, "eval"), (5, "eval"), (6, "train")]
    )
    np.testing.assert_array_equal(greedy, again)
    assert np.any(greedy != exploring)


def test_chunks_pause_where_asked():
    chunks = list(loops.train(compiled(PPO), 23, pause_every=10, max_chunk=4))
    ends = [chunk.iteration for chunk in chunks]
    assert {10, 20, 23} <= set(ends)
    assert sum(chunk.iterations for chunk in chunks) == 23
    assert max(chunk.iterations for chunk in chunks) <= 4
    assert [chunk.compiled for chunk in chunks] == [True] + [False] * (len(chunks) - 1)


@pytest.mark.parametrize("library", [gymnasium, gym])
@pytest.mark.parametrize("hparams", [DQN, PPO], ids=["dqn", "ppo"])
def test_stateful_agents_run_in_a_plain_python_loop(library, hparams):
    hparams = hparams.override(num_envs=1, rollout_length=8)
    module = dqn if isinstance(hparams, dqn.DQNHParams) else ppo
    env = library.make("CartPole-v1", disable_env_checker=True)
    agent = loops.StatefulAgent(module.make(ENV.spec, hparams), ENV.spec, seed=3)
    before = numpy(agent.state)
    observation, _ = env.reset(seed=0)
    updates = []
    for _ in range(40):
        action = agent.act(observation)
        assert env.action_space.contains(action)
        successor, reward, terminated, truncated, _ = env.step(action)
        agent.observe(observation, action, reward, successor, terminated, truncated)
        updates.append(agent.update())
        observation = env.reset()[0] if terminated or truncated else successor
    assert [step for step, metrics in enumerate(updates) if metrics] == [7, 15, 23, 31, 39]
    assert any(
        np.any(a != b) for a, b in zip(tf.nest.flatten(before), tf.nest.flatten(numpy(agent.state)), strict=True)
    )


def test_stateful_agents_refuse_observations_of_the_wrong_shape():
    agent = loops.StatefulAgent(make(DQN)[0], ENV.spec)
    with pytest.raises(ValueError, match=r"observation has shape \(3,\), expected \(4,\)"):
        agent.act(np.zeros(3))
