"""The side of DreamerV3's authors: their released package, with the loop of its training written out.

What is imported as `embodied` is found once `dreamerv3` is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dreamerv3
import embodied
import gymnasium
import jax
import numpy as np
import turns
from cases import Case

# By the size of ours: of the recurrent state, whose weights are in one block, so that parameters are as many; of all
# other layers; and classes of each latent.
SIZES = {"0.5m": (200, 64, 4)}
LAYERS = {"reward_head": 1, "cont_head": 1, "actor": 3, "critic": 3}


class FromGymnasium(embodied.Env):
    """Gymnasium's environment with a Box of actions, which are from -1 to 1 here."""

    def __init__(self, name: str, seed: int):
        self._env = gymnasium.make(name)
        self._seed: int | None = seed
        self._done = True
        space = self._env.action_space
        self._middle, self._half = (space.high + space.low) / 2, (space.high - space.low) / 2

    @property
    def obs_space(self) -> dict[str, embodied.Space]:
        """What an observation is made of."""
        flags = {name: embodied.Space(bool) for name in ("is_first", "is_last", "is_terminal")}
        vector = embodied.Space(np.float32, self._env.observation_space.shape)
        return {"vector": vector, "reward": embodied.Space(np.float32), **flags}

    @property
    def act_space(self) -> dict[str, embodied.Space]:
        """What an action is made of."""
        action = embodied.Space(np.float32, self._env.action_space.shape, -1, 1)
        return {"action": action, "reset": embodied.Space(bool)}

    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        """Steps, or begins anew."""
        terminated = truncated = False
        if first := action["reset"] or self._done:
            (vector, _), reward = self._env.reset(seed=self._seed), 0.0
            self._seed = None
        else:
            unit = np.clip(action["action"], -1, 1)
            vector, reward, terminated, truncated, _ = self._env.step(self._middle + self._half * unit)
        self._done = terminated or truncated
        flags = {"is_first": bool(first), "is_last": self._done, "is_terminal": terminated}
        return {"vector": vector, "reward": np.float32(reward), **flags}

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


def config_of(case: Case) -> embodied.Config:
    """The configuration, equal to the case's settings."""
    settings = case.settings
    deter, width, classes = SIZES[settings["size"]]
    layers = {f"{name}.mlp_layers": 3 for name in ("encoder", "decoder")}
    layers |= {f"{name}.layers": count for name, count in LAYERS.items()}
    rates = {f"{name}_opt.lr": settings["learning_rate"] for name in ("model", "actor", "critic")}
    config = embodied.Config(dreamerv3.Agent.configs["defaults"]).update(
        {
            "jax": {"platform": "cpu", "precision": "float32"},
            "batch_size": settings["batch_size"],
            "batch_length": settings["sequence_length"],
            "data_loaders": 1,
            "rssm": {"deter": deter, "classes": classes},
            "horizon": round(1 / (1 - settings["gamma"])),
            "imag_horizon": settings["horizon"],
            "actor_grad_cont": "reinforce",
        }
    )
    widths = {r".*\.units$": width, r".*\.mlp_units$": width, r".*\.cnn_keys": "$^"}
    return config.update({**widths, **layers, **rates})


class DreamerV3:
    """An agent that goes on learning where it stopped."""

    def __init__(self, case: Case):
        settings = case.settings
        envs = [FromGymnasium(case.env, seed) for seed in range(settings["num_envs"])]
        self._case, self._env = case, embodied.BatchEnv(envs, parallel=False)
        config = config_of(case)
        self._agent = dreamerv3.Agent(self._env.obs_space, self._env.act_space, embodied.Counter(), config)
        self._replay = embodied.replay.Uniform(settings["sequence_length"], settings["replay_capacity"])
        self._driver = embodied.Driver(self._env)
        self._driver.on_step(self._replay.add)
        self._carry: Any = None
        self._steps = 0
        self._batches: Iterator[Any] | None = None

    def run(self, iterations: int) -> None:
        """See `turns.Side`."""
        for _ in range(iterations):
            self._driver(self._agent.policy, steps=self._case.steps_per_iteration)
            self._steps += self._case.steps_per_iteration
            if self._steps < self._case.settings["learning_starts"]:
                continue
            if self._batches is None:
                self._batches = self._agent.dataset(self._replay.dataset)
            for _ in range(self._case.settings["gradient_steps"]):
                _, self._carry, _ = self._agent.train(next(self._batches), self._carry)
        jax.block_until_ready(self._agent.varibs)

    def settle(self, iterations: int) -> dict[str, Any]:
        """There is nothing to choose."""
        self.run(iterations)
        return {}

    def evaluate(self, episodes: int) -> float:
        """See `turns.Side`."""
        returns: list[float] = []
        driver = embodied.Driver(embodied.BatchEnv([FromGymnasium(self._case.env, 1_000)], parallel=False))
        driver.on_episode(lambda episode, _: returns.append(float(episode["reward"].sum())))
        driver(lambda *given: self._agent.policy(*given, mode="eval"), episodes=episodes)
        return float(np.mean(returns))


if __name__ == "__main__":
    turns.serve(DreamerV3, ("dreamerv3", "jax", "gymnasium"))
