"""The loops: where an agent's functions run. They know nothing of any algorithm.

In compiled environments, acting, stepping and learning are one program:

    step = train_step(agent, env)                        # TrainState -> (TrainState, StepReport)
    compiled = compile(step, init_state(agent, env, key))
    for chunk in train(compiled, iterations):
        print(chunk.iteration, chunk.metrics, chunk.episodes.episode_return)

Many copies run side by side, a share of them on each core:

    compiled = compile_copies(step, struct.stack([init_state(agent, env, random.key(seed)) for seed in range(8)]))

Host environments are stepped in Python, between acting and learning:

    compiled = compile(host_step(agent), init_host_state(agent, key))
    for chunk in host_train(agent, env, compiled, iterations):
        ...

or, where the loop is your own, with its parts:

    learner, actors = make_learner(agent, compiled), HostActors(agent, env, seed=0)
    for iteration in range(iterations):
        learner.learn(actors.rollout(learner.acting(), iteration))
    metrics, episodes = summarize(StepReport(learner.drain(), actors.ended()), iterations)

Agents that learn from a data set step no environment:

    compiled = compile(offline_step(agent), init_offline_state(agent, key))
    for chunk in train(compiled, iterations):
        ...

On several devices, each steps a share of the environments and learns from a share of each batch:

    step = SharedStep(agent, env, spec_of(lambda key: init_state(agent, env, key)), devices=2)
    shared = Lockstep(step, [OnDevice(step, index, f"GPU:{index}") for index in range(2)], init_state(agent, env, key))
    for chunk in train(shared, iterations):
        ...

How many environments, how long a rollout and how far behind the acting policy is are the agent's schedule.
"""

from rl_fn._src.loops.chunks import Chunk, EpisodeMeans, StepReport, Stop, Stopped, summarize
from rl_fn._src.loops.compile import Compiled, Held, Running, compile, lower, vectorize
from rl_fn._src.loops.evaluate import MAX_STEPS, Evaluation, evaluate, host_evaluate
from rl_fn._src.loops.finite import NonFiniteError, nonfinite
from rl_fn._src.loops.host_actors import HostActors, HostPlayer
from rl_fn._src.loops.host_train import host_train
from rl_fn._src.loops.learners import (
    HostState,
    InTurnLearner,
    LaggingLearner,
    Learner,
    host_step,
    init_host_state,
    make_learner,
)
from rl_fn._src.loops.lockstep import Came, Lockstep, OnDevice, Peer, PeerLost, SharedStep, spec_of
from rl_fn._src.loops.offline import OfflineState, init_offline_state, offline_step
from rl_fn._src.loops.rollout import ActorsState, Episodes, act_and_step, init_actors, rollout
from rl_fn._src.loops.shares import Shares, compile_copies
from rl_fn._src.loops.stateful import StatefulAgent
from rl_fn._src.loops.train_step import TrainState, init_state, train, train_step
from rl_fn._src.scan import scan

__all__ = [
    "MAX_STEPS",
    "ActorsState",
    "Came",
    "Chunk",
    "Compiled",
    "EpisodeMeans",
    "Episodes",
    "Evaluation",
    "Held",
    "HostActors",
    "HostPlayer",
    "HostState",
    "InTurnLearner",
    "LaggingLearner",
    "Learner",
    "Lockstep",
    "NonFiniteError",
    "OfflineState",
    "OnDevice",
    "Peer",
    "PeerLost",
    "Running",
    "SharedStep",
    "Shares",
    "StatefulAgent",
    "StepReport",
    "Stop",
    "Stopped",
    "TrainState",
    "act_and_step",
    "compile",
    "compile_copies",
    "evaluate",
    "host_evaluate",
    "host_step",
    "host_train",
    "init_actors",
    "init_host_state",
    "init_offline_state",
    "init_state",
    "lower",
    "make_learner",
    "nonfinite",
    "offline_step",
    "rollout",
    "scan",
    "spec_of",
    "summarize",
    "train",
    "train_step",
    "vectorize",
]
