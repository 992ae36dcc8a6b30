"""An agent that compiles in no time and has hyper-parameters: it does not learn, and is as good as it is made.

With probability `skill` it pushes the cart to where the pole leans, else at random.
"""

import dataclasses

import tensorflow as tf

from rl_fn import random, sets
from rl_fn.agents.base import ActorStep, Agent
from rl_fn.agents.hparams import HParams, field
from rl_fn.agents.ranges import Choices, Linear, Log
from rl_fn.search.space import Dimension
from rl_fn.struct import EnvSpec, Scalar
from tests.runs import tiny


@dataclasses.dataclass(frozen=True)
class TunesHParams(HParams):
    train_steps: int = 80
    num_envs: int = 2
    rollout_length: int = 4
    skill: Scalar = field(0.5, "How good it is.", low=0.0, high=1.0, search=Linear(0.0, 1.0))
    decay: Scalar = field(0.1, "How much it remembers.", above=0.0, search=Log(0.01, 1.0))
    offset: Scalar = field(1.0, "What it adds to that.", search=Linear(0.0, 2.0))
    digits: int = field(1, "Numbers that it keeps; 3 is none of its numbers.", low=1, search=Choices((1, 2)))


SPACE = (Dimension("decay", Log(0.01, 1.0), False, False), Dimension("offset", Linear(0.0, 2.0), False, False))


def make(spec: EnvSpec, hparams: TunesHParams) -> Agent:
    if hparams.digits == 3:
        raise ValueError("digits is 3")
    base = tiny.agent(hparams.num_envs, hparams.rollout_length)

    def init(key):
        skill = tf.convert_to_tensor(hparams.skill, tf.float32)
        return tiny.State(skill, tf.fill([hparams.digits], random.uniform(key)))

    def act(policy, actor_state, observation, key, mode):
        good, blind = tf.unstack(random.uniform(key, [2, observation.shape[0]]))
        leans, pushed = observation[:, 2] > 0, blind < 0.5
        return ActorStep(tf.cast(tf.where(good < policy, leans, pushed), tf.int32), actor_state, {})

    def update(state, trajectory, key):
        digest = hparams.decay * state.digest + hparams.offset * random.uniform(key)
        return state._replace(digest=digest), {"seen": tf.reduce_mean(trajectory.reward)}

    return base._replace(schedule=hparams.schedule, init=init, act=act, update=update)


def of(**settings):
    """Makes the agent with other settings than its own."""
    return make(None, TunesHParams(**settings))


sets.register("tunes", agent="tests.search.tunes", env="CartPole-v1", doc="Does not learn.")
