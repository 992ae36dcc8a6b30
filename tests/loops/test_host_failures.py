"""What host environments say that nothing can be learned from: training and evaluation stop, and name it."""

import numpy as np
import pytest
from gymnasium import spaces

from rl_fn import envs, loops, random
from tests.envs.host.environments import Answers, Count
from tests.loops.agents import versions


class Turning(Count):
    """Is another from its step number `turn` on."""

    def __init__(self, turn, reward=None, observation=None, error=None, length=100):
        super().__init__(length, fresh=True)
        self._turn, self._reward, self._seen, self._error, self._steps = turn, reward, observation, error, 0

    def step(self, action):
        self._steps += 1
        observation, reward, *rest = super().step(action)
        if self._steps >= self._turn:
            if self._error:
                raise self._error
            reward = reward if self._reward is None else self._reward
            observation = observation if self._seen is None else self._seen
        return observation, reward, *rest


def compiled_of(agent):
    return loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(0)))


@pytest.mark.parametrize("lag", [0, 1])
def test_what_was_learned_before_a_number_that_is_not_finite_is_handed_over(lag):
    agent = versions(actor_lag=lag)
    compiled = compiled_of(agent)
    env = envs.gymnasium_env([Count(), Turning(15, reward=np.nan)])
    chunks = loops.host_train(agent, env, compiled, 100, chunk_seconds=100.0)
    assert [next(chunks).iteration, next(chunks).iteration] == [1, 3]
    with pytest.raises(
        loops.NonFiniteError,
        match=r"^the reward is nan, or is missing: environment 1 of Count, in step 15 of its episode and 15 in all$",
    ):
        next(chunks)
    assert compiled.read().iteration == 3  # of four steps each


def test_rewards_and_observations_are_named_in_training_and_evaluation():
    inf = np.array([0, np.inf], np.float32)
    agent = versions()
    policy = agent.init(random.key(0)).policy
    for make, message in [
        (
            lambda: [Answers(), Answers(None)],
            "the reward is nan, or is missing: environment 1 of Answers, in step 1 of",
        ),
        (
            lambda: [Count(100), Turning(3, reward=-np.inf)],
            "the reward is -inf: environment 1 of Count, in step 3 of its episode",
        ),
        (
            lambda: [Count(100), Turning(3, reward=1e39)],
            "the reward is inf: environment 1 of Count, in step 3 of its episode",
        ),
        (
            lambda: [Count(100), Turning(3, observation=inf)],
            r"the observation at \[1\] is inf, expected a finite number: environment 1 of Count, in step 3 of its",
        ),
    ]:
        with pytest.raises(loops.NonFiniteError, match=f"^{message}"):
            list(loops.host_train(agent, envs.gymnasium_env(make()), compiled_of(agent), 3))
    with pytest.raises(loops.NonFiniteError, match=f"^{message}"):
        loops.host_evaluate(agent, envs.gymnasium_env(make()), 2)(policy, random.key(1))


def test_the_first_observation_and_a_part_of_a_nest_are_named():
    space = spaces.Dict({"goal": spaces.Discrete(2), "sight": spaces.Box(-np.inf, np.inf, (2, 2), np.float64)})
    env = Answers(observation={"goal": 0, "sight": np.array([[0, 0], [np.nan, 0]])}, at="reset", space=space)
    with pytest.raises(
        loops.NonFiniteError, match=r"^the observation sight at \[1, 0\] is nan, .*: environment 0 of Answers, at its"
    ):
        loops.HostActors(versions(1), envs.gymnasium_env(env), seed=0)


def test_environments_that_fail_for_good_end_a_training_after_what_was_learned():
    agent = versions()
    for env, message in [
        (
            envs.gymnasium_env([Count(), Turning(6, error=KeyError("door"))], max_restarts=0),
            "environment 1 of Count failed once more after 0 restarts within 1,000 steps: KeyError: 'door'",
        ),
        (Vector(6), "Room failed in its step: KeyError: 'door'"),
    ]:
        compiled = compiled_of(agent)
        chunks = loops.host_train(agent, env, compiled, 100)
        assert next(chunks).iteration == 1
        with pytest.raises(envs.EnvFailed, match=f"^{message}$"):
            next(chunks)
        assert compiled.read().iteration == 1


class Vector:
    """A host environment of its own kind that raises in its step number `turn`."""

    def __init__(self, turn):
        self._env, self._left = envs.gymnasium_env(Count, 2), turn
        self.num_envs, self.spec, self.reset = 2, self._env.spec._replace(name="Room"), self._env.reset

    def step(self, actions):
        self._left -= 1
        if not self._left:
            raise KeyError("door")
        return self._env.step(actions)


def test_a_plain_loop_learns_from_no_number_that_is_not_finite():
    env = Count()
    agent = loops.StatefulAgent(versions(1), env)
    observation, _ = env.reset()
    for reward, after, message in [
        (np.nan, observation, "the reward is nan, or is missing: given to observe"),
        (None, observation, "the reward is nan, or is missing: given to observe"),
        (1.0, np.array([0, np.inf]), r"the observation at \[1\] is inf, expected a finite number: given to observe"),
    ]:
        action = agent.act(observation)
        with pytest.raises(loops.NonFiniteError, match=message):
            agent.observe(observation, action, reward, after, False, False)
