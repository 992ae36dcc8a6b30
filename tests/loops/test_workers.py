"""Learning from what workers act, with workers that take turns in this process."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn._src.loops.lanes import Piece, Taken
from rl_fn._src.loops.layout import Layout, policy_spec, trajectory_spec
from rl_fn._src.loops.workers import has_streams, worker_rollouts, workers_train
from tests.envs.rooms import Room
from tests.loops.agents import versions

KEY = random.key(0)


class InTurn:
    """Workers that act when they are asked to; after `late` updates, streams are said to be cut."""

    def __init__(self, agent, env, num_workers, make_env, late=()):
        share = agent.schedule.num_envs // num_workers
        self._policy, self._trajectory = Layout(policy_spec(agent)), Layout(trajectory_spec(agent, env.spec, share))
        keys = tf.unstack(random.split(KEY, num_workers))
        self._rollouts = [worker_rollouts(agent, make_env(share), share, key) for key in keys]
        self._late, self._ended, self.published = set(late), np.zeros(3), []

    def publish(self, policy, updates):
        self.published.append((self._policy.unpack(policy), updates))

    def take(self, stop):
        if stop():
            raise loops.Stopped("told to stop")
        policy, updates = self.published[-1]
        pieces = []
        for worker, rollout in enumerate(self._rollouts):
            trajectory, episodes = rollout(tf.nest.map_structure(tf.constant, policy), len(self.published))
            self._ended += [float(total) for total in episodes]
            pieces.append(Piece(worker, 0, updates, updates, self._trajectory.pack(trajectory)))
        return Taken(pieces, updates in self._late)

    def ended(self):
        totals, self._ended = self._ended, np.zeros(3)
        return loops.Episodes(*[np.asarray(total, np.float32) for total in totals])


@pytest.mark.parametrize(
    "make_env",
    [lambda share: envs.make("CartPole-v1"), lambda share: envs.gymnasium_env(Room, share)],
    ids=["compiled", "host"],
)
def test_the_trajectories_of_workers_are_learned_from_side_by_side(make_env):
    agent = versions(num_envs=4, rollout_length=8)
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, KEY))
    fleet = InTurn(agent, make_env(1), 2, make_env, late=[3])
    chunks = list(workers_train(agent, make_env(1).spec, fleet, 2, compiled, 10, pause_every=5))
    assert [chunk.iteration for chunk in chunks if chunk.iteration % 5 == 0] == [5, 10]
    assert [updates for _, updates in fleet.published] == list(range(11))
    state = compiled.read()
    assert (int(state.iteration), int(state.agent.policy), int(state.agent.acted)) == (10, 10, 9)
    assert int(state.agent.cuts) == 1
    assert all(chunk.metrics["policy_lag"] == 0.0 for chunk in chunks)
    assert all(0.0 <= chunk.metrics["learner_idle"] <= 1.0 for chunk in chunks)
    steps = sum(chunk.episodes.count * chunk.episodes.episode_length for chunk in chunks if chunk.episodes.count)
    assert 0 < steps <= 10 * 4 * 8
    resumed = list(workers_train(agent, make_env(1).spec, fleet, 2, compiled, 12, start=10))
    assert resumed[-1].iteration == 12
    assert int(compiled.read().agent.cuts) == 2  # environments began anew


def test_a_stop_ends_it_between_two_updates():
    make_env = lambda share: envs.gymnasium_env(Room, share)
    agent, env = versions(num_envs=4, rollout_length=8), make_env(1)
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, KEY))
    fleet = InTurn(agent, env, 2, make_env)
    stop = lambda: len(fleet.published) > 4
    chunks = list(workers_train(agent, env.spec, fleet, 2, compiled, 10, stop=stop))
    assert chunks[-1].iteration == int(compiled.read().iteration) == 4


def test_a_stream_is_what_cut_ends():
    agent = versions()
    state = loops.init_host_state(agent, KEY)
    assert has_streams(agent, state)
    assert not has_streams(agent._replace(cut=lambda state: state), state)


def test_a_nest_comes_out_of_its_buffer_as_it_went_in():
    nest = {"b": (np.arange(3, dtype=np.uint8), np.array(True)), "a": np.ones([2, 0]), "c": np.float32(0.5)}
    layout = Layout(tf.nest.map_structure(lambda leaf: tf.TensorSpec(np.shape(leaf), np.asarray(leaf).dtype), nest))
    buffer = layout.pack(nest)
    assert buffer.shape == (layout.size,) == (192,)  # each begins at a multiple of 64
    found = layout.unpack(buffer)
    tf.nest.map_structure(np.testing.assert_array_equal, found, nest)
    with pytest.raises(ValueError, match=r"b/0 is uint8 \(4,\), expected uint8 \(3,\)"):
        layout.pack({**nest, "b": (np.zeros(4, np.uint8), True)})
