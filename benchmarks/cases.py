"""What is measured: the cases of `benchmarks/agents.py`, with the settings that all sides share.

Nothing but the standard library is imported here, because every side reads it in an environment of its own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

EPISODES = 32  # of an evaluation

_PPO = {
    "rollout_length": 128,
    "num_epochs": 4,
    "num_minibatches": 4,
    "hidden_sizes": (64, 64),
    "activation": "tanh",
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_epsilon": 0.2,
    "entropy_cost": 0.01,
    "value_cost": 0.5,
    "max_grad_norm": 0.5,
    "adam_epsilon": 1e-8,
}
# With epsilon and learning rate constant, a run can be cut into turns without any side noticing.
_DQN = {
    "num_envs": 10,
    "rollout_length": 1,
    "gradient_steps": 1,
    "batch_size": 128,
    "hidden_sizes": (120, 84),
    "activation": "relu",
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "max_grad_norm": 10.0,
    "replay_capacity": 10_000,
    "learning_starts": 1_000,
    "target_period": 50,  # gradient steps
    "epsilon": 0.1,
    "double_q": False,
}
_SAC = {
    "num_envs": 1,
    "rollout_length": 1,
    "gradient_steps": 1,
    "batch_size": 256,
    "hidden_sizes": (256, 256),
    "activation": "relu",
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "replay_capacity": 20_000,
    "learning_starts": 500,
    "target_step_size": 0.005,
}
_DREAMER = {
    "num_envs": 4,
    "rollout_length": 4,
    "gradient_steps": 6,
    "size": "0.5m",
    "batch_size": 16,
    "sequence_length": 16,
    "sequence_period": 1,
    "horizon": 15,
    "imagine_last": 16,
    "learning_rate": 1e-4,
    "gamma": 0.997,
    "replay_capacity": 20_000,
    "learning_starts": 512,
}

_REJAX_PPO = {
    "rejax": "clips each element of the gradients to the same bound, where the others clip their global norm; "
    "orthogonal initialisation is rl_fn's alone; time limits end episodes as failures do"
}
_REJAX_DQN = "samples without replacement; clips each element of the gradients; time limits end episodes as failures do"
_REJAX_DISTRIBUTION = f"learns from the means of equally many outputs; {_REJAX_DQN}"
_REJAX_A2C = "is PPO with one epoch and one minibatch, which makes the same passes, with Adam; ours is with RMSProp"
_REJAX_TD3 = "samples without replacement; moves its targets with every update of the policy, half as often"
_REJAX_SAC = "samples without replacement; acts with its policy before learning starts"
_SB3_DQN = "Huber loss, where the others take the squared error; steps Gymnasium's environments in Python"
_DREAMERV3 = (
    "has one block of recurrent weights, of which there are as many; three Adams; no critic's loss on what was "
    "replayed; begins each sequence anew where rl_fn's goes on; steps Gymnasium's environment in Python"
)
_SBX = "steps Gymnasium's environment in Python"


@dataclasses.dataclass(frozen=True)
class Case:
    """One comparison. An iteration is a rollout and the update on it, in every copy."""

    name: str
    algorithm: str
    env: str  # by Gymnasium's name; each side has its own for the games of MinAtar
    settings: dict[str, Any]
    targets: dict[str, float]  # the rivals, each with the ratio of speeds (ours / theirs) to be reached
    iterations: int  # of the whole training, over all turns
    learned: float  # a mean return that an agent which learned nothing does not reach
    unequal: dict[str, str] = dataclasses.field(default_factory=dict)  # what of a rival could not be made equal
    copies: int = 1  # trained side by side in one program
    on_host: bool = False  # whether rl_fn, too, steps Gymnasium's environments in Python
    cold: bool = False  # whether the time to the first update is what is compared
    cached: bool = False  # whether rl_fn's compiled programs are in its cache by then

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps, over all environments and copies."""
        return self.copies * self.settings["num_envs"] * self.settings["rollout_length"]

    @property
    def first_iterations(self) -> int:
        """Iterations until every side has made its first gradient step."""
        steps = self.settings["num_envs"] * self.settings["rollout_length"]
        return self.settings["learning_starts"] // steps + 2 if "learning_starts" in self.settings else 1


def _ppo(num_envs: int, target: float, iterations: int, rival: str = "rejax", **more: Any) -> Case:
    name = f"ppo_cartpole_{num_envs}"
    return Case(
        **{
            "name": name,
            "algorithm": "ppo",
            "env": "CartPole-v1",
            "settings": {**_PPO, "num_envs": num_envs},
            "targets": {rival: target},
            "iterations": iterations,
            "learned": 150.0,
            "unequal": _REJAX_PPO,
            **more,
        }
    )


_DQN_CARTPOLE = Case(
    "dqn_cartpole",
    "dqn",
    "CartPole-v1",
    _DQN,
    {"rejax": 2.5, "sb3": 15.0},
    iterations=15_000,
    learned=150.0,
    unequal={"rejax": _REJAX_DQN, "sb3": _SB3_DQN},
)

_SAC_PENDULUM = Case(
    "sac_pendulum",
    "sac",
    "Pendulum-v1",
    _SAC,
    {"rejax": 1.2, "sbx": 1.5, "sb3": 3.0},
    iterations=5_000,
    learned=-600.0,
    unequal={"rejax": _REJAX_SAC, "sbx": _SBX, "sb3": _SBX},
)


def _distributional(algorithm: str, targets: dict[str, float], **more: Any) -> Case:
    settings = {**_DQN, **more}
    unequal = {"rejax": _REJAX_DISTRIBUTION, "sb3": _SB3_DQN}
    return Case(f"{algorithm}_cartpole", algorithm, "CartPole-v1", settings, targets, 5_000, 100.0, unequal)


_ALL = (
    _ppo(4, 1.9, iterations=1_000),
    _ppo(64, 2.3, iterations=200),
    _ppo(1024, 2.3, iterations=25),
    _ppo(4, 2.0, iterations=1_000, name="ppo_cartpole_4_copies_8", copies=8),
    Case(
        "ppo_breakout_64",
        "ppo",
        "MinAtar/Breakout",
        {**_PPO, "num_envs": 64, "num_minibatches": 8, "hidden_sizes": (256, 256), "activation": "relu"},
        {"rejax": 1.15},
        iterations=25,
        learned=1.0,
        unequal=_REJAX_PPO,
    ),
    _DQN_CARTPOLE,
    _distributional("c51", {"rejax": 2.0}, num_atoms=51, v_min=0.0, v_max=100.0),
    _distributional("qrdqn", {"rejax": 2.0, "sb3": 10.0}, num_quantiles=50),
    Case(
        "a2c_cartpole_64",
        "a2c",
        "CartPole-v1",
        {**_PPO, "num_envs": 64, "rollout_length": 16, "num_epochs": 1, "num_minibatches": 1},
        {"rejax": 1.5},
        iterations=4_000,
        learned=100.0,
        unequal={"rejax": f"{_REJAX_A2C}; {_REJAX_PPO['rejax']}"},
    ),
    _ppo(8, 20.0, iterations=160, rival="sb3"),
    _SAC_PENDULUM,
    Case(
        "td3_pendulum",
        "td3",
        "Pendulum-v1",
        {**_SAC, "policy_delay": 2, "exploration_noise": 0.1, "smoothing_noise": 0.2, "smoothing_clip": 0.5},
        {"rejax": 1.1, "sbx": 1.35, "sb3": 2.5},
        iterations=5_000,
        learned=-600.0,
        unequal={"rejax": _REJAX_TD3, "sbx": _SBX, "sb3": _SBX},
    ),
    Case(
        "dreamer_pendulum",
        "dreamer",
        "Pendulum-v1",
        _DREAMER,
        {"dreamerv3": 1.0},
        iterations=250,
        learned=-600.0,
        unequal={"dreamerv3": _DREAMERV3},
    ),
    Case(
        "ppo_gymnasium_8",
        "ppo",
        "CartPole-v1",
        {**_PPO, "num_envs": 8},
        {"sb3": 3.0},
        iterations=80,
        learned=150.0,
        on_host=True,
    ),
    _ppo(4, 1.25, iterations=0, name="first_update_ppo", cold=True),
    dataclasses.replace(_DQN_CARTPOLE, name="first_update_dqn", targets={"rejax": 1.25}, iterations=0, cold=True),
    dataclasses.replace(_SAC_PENDULUM, name="first_update_sac", targets={"rejax": 1.25}, iterations=0, cold=True),
)
_CACHED = tuple(
    dataclasses.replace(case, name=f"{case.name}_cached", targets={"rejax": 2.0}, cached=True)
    for case in _ALL
    if case.cold
)
CASES = {case.name: case for case in (*_ALL, *_CACHED)}


def find(name: str) -> Case:
    """Looks a case up.

    Raises:
      ValueError: if there is none of that name.
    """
    if name not in CASES:
        raise ValueError(f"case is {name!r}, expected one of {', '.join(CASES)}")
    return CASES[name]
