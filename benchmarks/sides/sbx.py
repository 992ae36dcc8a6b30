"""The side of SBX: Stable-Baselines3's interface, with the updates in JAX."""

from __future__ import annotations

from typing import Any

import sbx
import turns
from cases import Case
from flax import linen

from sides.sb3 import StableBaselines, from_replay

MODELS = {"sac": sbx.SAC, "td3": sbx.TD3}


def model_of(case: Case, env: Any) -> sbx.SAC | sbx.TD3:
    """The model, equal to the case's settings.

    Raises:
      ValueError: for another algorithm than those of MODELS.
    """
    if case.algorithm not in MODELS:
        raise ValueError(f"algorithm is {case.algorithm!r}, expected one of {', '.join(MODELS)}")
    policy = {
        "net_arch": list(case.settings["hidden_sizes"]),
        "activation_fn": getattr(linen, case.settings["activation"]),
    }
    return MODELS[case.algorithm]("MlpPolicy", env, **from_replay(case, policy))


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
