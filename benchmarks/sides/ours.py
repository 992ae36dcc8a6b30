"""rl_fn's side."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as the command `rl-fn` has it

import turns
from cases import Case

from rl_fn import envs, loops, random, sets, struct
from rl_fn.runs import threads

ENVS = {"MinAtar/Breakout": ("MinAtar/Breakout-v1", {"sticky_action_prob": 0.0, "max_episode_steps": 1_000})}

FOREVER = 1 << 30  # iterations


def hparams_of(case: Case) -> Any:
    """The hyper-parameters, equal to the case's settings."""
    settings = dict(case.settings)
    constant = {"anneal_learning_rate": False}
    if case.algorithm in ("ppo", "dreamer"):
        more = constant
    elif case.algorithm in ("dqn", "c51", "qrdqn"):
        epsilon = settings.pop("epsilon")
        squared = {"loss": "l2"} if case.algorithm == "dqn" else {}
        plain = {"n_step": 1, "adam_epsilon": 1e-8}
        more = {"epsilon_initial": epsilon, "epsilon_final": epsilon, **plain, **constant, **squared}
        settings.pop("activation")  # its networks have no other
    elif case.algorithm == "a2c":
        more = constant
        for name in ("num_epochs", "num_minibatches", "clip_epsilon", "adam_epsilon"):
            settings.pop(name)
    else:
        rate, learned = settings.pop("learning_rate"), ["actor", "critic"]
        learned += ["temperature"] if case.algorithm == "sac" else []
        more = {f"{name}_learning_rate": rate for name in learned}
        settings.pop("activation")
    return sets.hparams_struct(case.algorithm)(**settings, **more)  # the sets normalise, which the others do not


def agent_of(case: Case, env: Any) -> tuple[Any, Any]:
    """The agent and its hyper-parameters."""
    hparams = hparams_of(case)
    return sets.agent_module(case.algorithm).make(env.spec, hparams), hparams


class Compiled:
    """Rollout and update in one program, for one copy or several."""

    def __init__(self, case: Case):
        name, arguments = ENVS.get(case.env, (case.env, {}))
        threads.settle(hparams_of(case), is_alone=case.copies == 1)  # as `rl-fn train` does
        self._env = envs.make(name, **arguments)
        self._agent, _ = agent_of(case, self._env)
        self._copies = case.copies
        step = loops.train_step(self._agent, self._env)
        states = [loops.init_state(self._agent, self._env, random.key(seed)) for seed in range(case.copies)]
        if self._copies > 1:
            self._compiled = loops.compile_copies(step, struct.stack(states))
        else:
            self._compiled = loops.compile(step, states[0])

    def run(self, iterations: int) -> None:
        """See `turns.Side`."""
        self._compiled.run(iterations)

    def hlo(self) -> str:
        """The optimised program of `run`."""
        return self._compiled.hlo()

    def settle(self, iterations: int) -> dict[str, Any]:
        """There is nothing to choose."""
        self.run(iterations)
        return {}

    def evaluate(self, episodes: int) -> float:
        """See `turns.Side`."""
        play = loops.evaluate(self._agent, self._env, episodes, copies=self._copies > 1)
        policy = self._compiled.read(lambda state: state.agent.policy)
        key = random.key(1_000)
        return float(play(policy, random.split(key, self._copies) if self._copies > 1 else key).returns.mean())


class OnHost:
    """The agent's functions compiled, Gymnasium's environments stepped between them."""

    def __init__(self, case: Case):
        num_envs = case.settings["num_envs"]
        make_envs = lambda: envs.make(f"gymnasium:{case.env}", num_envs)
        self._env, self._judged = make_envs(), make_envs()
        self._agent, _ = agent_of(case, self._env)
        state = loops.init_host_state(self._agent, random.key(0))
        self._compiled = loops.compile(loops.host_step(self._agent), state)
        # One rollout and its update at a time; acting is compiled once, with the first.
        self._chunks = loops.host_train(self._agent, self._env, self._compiled, FOREVER, max_chunk=1)

    def run(self, iterations: int) -> None:
        """See `turns.Side`."""
        for _ in range(iterations):
            next(self._chunks)

    def settle(self, iterations: int) -> dict[str, Any]:
        """There is nothing to choose."""
        self.run(iterations)
        return {}

    def evaluate(self, episodes: int) -> float:
        """See `turns.Side`."""
        play = loops.host_evaluate(self._agent, self._judged, episodes)
        policy = self._compiled.read(lambda state: state.agent.policy)
        return float(play(policy, random.key(1_000)).returns.mean())


if __name__ == "__main__":
    turns.serve(lambda case: OnHost(case) if case.on_host else Compiled(case), ("tensorflow", "gymnasium"))
