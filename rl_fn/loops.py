"""The loops: where an agent's three functions run. They know nothing of any algorithm.

step = train_step(agent, env)                       # TrainState -> (TrainState, metrics)
compiled = compile(step, init_state(agent, env, key))
for chunk in train(compiled, iterations):
    print(chunk.iteration, chunk.metrics)
"""

from rl_fn._src.loops.compile import Compiled, compile, vectorize
from rl_fn._src.loops.evaluate import evaluate
from rl_fn._src.loops.host import HostState, host_evaluate, host_step, host_train, init_host_state
from rl_fn._src.loops.rollout import ActorsState, Episodes, init_actors, rollout
from rl_fn._src.loops.stateful import StatefulAgent
from rl_fn._src.loops.train_step import Chunk, TrainState, init_state, summarize, train, train_step
from rl_fn._src.scan import scan

__all__ = [
    "ActorsState",
    "Chunk",
    "Compiled",
    "Episodes",
    "HostState",
    "StatefulAgent",
    "TrainState",
    "compile",
    "evaluate",
    "host_evaluate",
    "host_step",
    "host_train",
    "init_actors",
    "init_host_state",
    "init_state",
    "rollout",
    "scan",
    "summarize",
    "train",
    "train_step",
    "vectorize",
]
