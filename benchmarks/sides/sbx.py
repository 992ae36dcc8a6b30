"""The side of SBX: Stable-Baselines3's interface, with the updates in JAX."""

from __future__ import annotations

from typing import Any

import sbx
import turns
from cases import Case
from flax import linen

from sides.sb3 import StableBaselines, action_noise, from_replay


def model_of(case: Case, env: Any) -> sbx.SAC | sbx.TD3:
    """The model, equal to the case's settings.

    Raises:
      ValueError: for another algorithm than SAC and TD3.
    """
    if case.algorithm not in ("sac", "td3"):
        raise ValueError(f"algorithm is {case.algorithm!r}, expected 'sac' or 'td3'")
    settings = case.settings
    policy = {
        "net_arch": list(settings["hidden_sizes"]),
        "activation_fn": getattr(linen, settings["activation"]),
    }
    common = {"tau": settings["target_step_size"], "policy_kwargs": policy, **from_replay(settings)}
    if case.algorithm == "sac":
        return sbx.SAC("MlpPolicy", env, **common)
    return sbx.TD3(
        "MlpPolicy",
        env,
        policy_delay=settings["policy_delay"],
        target_policy_noise=settings["smoothing_noise"],
        target_noise_clip=settings["smoothing_clip"],
        action_noise=action_noise(settings),
        **common,
    )


class SBX(StableBaselines):
    """The same with SBX's models."""

    def __init__(self, case: Case):
        super().__init__(case, model_of)

    def settle(self, iterations: int) -> dict[str, Any]:
        """There is nothing to choose: torch only holds the data."""
        self.run(iterations)
        return {}


if __name__ == "__main__":
    turns.serve(SBX, ("sbx-rl", "stable-baselines3", "jax", "flax"))
