"""Where hyper-parameters are usually searched: by their name, since a name means the same in every agent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias


class Log(NamedTuple):
    """From `low` to `high`, evenly in the logarithm."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"log({self.low:g}, {self.high:g})"

    def at(self, fraction: float) -> float:
        """The value at a share of the way from the low end to the high one."""
        return math.exp(math.log(self.low) + fraction * (math.log(self.high) - math.log(self.low)))


class Linear(NamedTuple):
    """From `low` to `high`, evenly."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"linear({self.low:g}, {self.high:g})"

    def at(self, fraction: float) -> float:
        """The value at a share of the way from the low end to the high one."""
        return self.low + fraction * (self.high - self.low)


class Choices(NamedTuple):
    """One of several values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.values))}]"


Range: TypeAlias = Log | Linear | Choices


def ends(given: Range) -> tuple[Any, ...]:
    """The values between which, or among which, a range is."""
    return given.values if isinstance(given, Choices) else (given.low, given.high)


def around(default: float, low: float, high: float) -> Range | None:
    """A tenth to ten times a default, or for zero up to one, as far as limits allow; None where they allow nothing."""
    least, most = sorted((default / 10, default * 10)) if default else (0.0, 1.0)
    least, most = max(low, least), min(high, most)
    if isinstance(default, int):
        least, most = math.ceil(least), max(math.floor(most), 1)
    if not least < most:
        return None
    return (Log if least > 0 else Linear)(least, most)


# What is searched where nobody says what, if the agent has it and begins inside of the range
FIRST = (
    "learning_rate",
    "actor_learning_rate",
    "critic_learning_rate",
    "gamma",
    "gae_lambda",
    "trace_lambda",
    "entropy_cost",
    "clip_epsilon",
    "max_grad_norm",
    "epsilon_final",
    "exploration_fraction",
    "exploration_noise",
    "target_step_size",
    "max_kl",
    "temperature",
)
_WIDTHS = Choices(((64, 64), (128, 128), (256, 256)))
USUAL: Mapping[str, Range] = {
    "actor_learning_rate": Log(1e-5, 1e-2),
    "adam_beta_1": Linear(0.3, 0.95),
    "adam_epsilon": Log(1e-9, 1e-3),
    "batch_norm_momentum": Linear(0.9, 0.999),
    "batch_size": Choices((32, 64, 128, 256)),
    "burn_in": Choices((0, 4, 8, 16)),
    "clip_epsilon": Linear(0.05, 0.4),
    "clip_pg_rho": Linear(0.5, 2.0),
    "clip_rho": Linear(0.5, 2.0),
    "clone_cost": Log(0.1, 10.0),
    "conservatism": Log(0.1, 10.0),
    "conjugate_gradient_steps": Linear(5, 20),
    "critic_learning_rate": Log(1e-5, 1e-2),
    "critic_sizes": _WIDTHS,
    "damping": Log(0.01, 1.0),
    "deviation_epsilon": Log(1e-5, 1e-2),
    "drift_alpha": Linear(0.5, 4.0),
    "drift_beta": Linear(0.1, 1.5),
    "dropout_rate": Log(1e-3, 0.2),
    "dual_learning_rate": Log(1e-4, 1e-1),
    "entropy_cost": Log(1e-5, 0.1),
    "epsilon": Log(0.01, 1.0),
    "epsilon_final": Log(1e-3, 0.2),
    "epsilon_initial": Linear(0.2, 1.0),
    "epsilon_mean": Log(1e-4, 1e-1),
    "epsilon_stddev": Log(1e-6, 1e-2),
    "expectile": Linear(0.5, 0.95),
    "exploration_fraction": Linear(0.02, 0.5),
    "exploration_noise": Log(0.02, 0.5),
    "gae_lambda": Linear(0.8, 1.0),
    "gamma": Linear(0.9, 0.9995),
    "gradient_steps": Log(1, 32),
    "gumbel_temperature": Log(0.1, 10.0),
    "hidden_sizes": _WIDTHS,
    "huber_param": Log(0.1, 10.0),
    "importance_exponent": Linear(0.2, 1.0),
    "initial_multiplier": Log(0.1, 100.0),
    "initial_stddev": Log(0.1, 2.0),
    "initial_temperature": Log(0.01, 10.0),
    "kl_cost": Log(1e-3, 10.0),
    "kl_epsilon": Log(1e-4, 0.1),
    "kl_target": Log(1e-3, 0.1),
    "learning_rate": Log(1e-5, 1e-2),
    "learning_starts": Log(100, 10_000),
    "line_search_steps": Linear(5, 20),
    "mask_probability": Linear(0.1, 1.0),
    "max_error_weight": Linear(0.5, 1.0),
    "max_grad_norm": Log(0.1, 20.0),
    "max_kl": Log(1e-3, 0.1),
    "memory_units": Choices((32, 64, 128)),
    "min_stddev": Log(0.01, 0.3),
    "more_stddev": Log(0.1, 1.0),
    "munchausen_clip": Linear(-2.0, -0.1),
    "munchausen_scale": Linear(0.5, 1.0),
    "n_step": Choices((1, 3, 5)),
    "noise_damping": Log(0.01, 1.0),
    "noise_deviation": Log(0.01, 1.0),
    "noise_period": Choices((0, 4, 16, 64)),
    "novelty_cost": Log(0.01, 2.0),
    "novelty_learning_rate": Log(1e-5, 1e-2),
    "num_acting_quantiles": Choices((8, 32, 64)),
    "num_atoms": Choices((21, 51, 101)),
    "num_cosines": Choices((32, 64, 128)),
    "num_critics": Choices((2, 5, 10)),
    "num_dropped": Linear(0, 5),
    "num_envs": Choices((4, 8, 16, 32)),
    "num_epochs": Choices((1, 2, 4, 8)),
    "num_heads": Choices((5, 10, 20)),
    "num_minibatches": Choices((1, 2, 4, 8)),
    "num_quantiles": Choices((16, 32, 64)),
    "num_samples": Choices((10, 20, 40)),
    "num_target_quantiles": Choices((8, 16, 32)),
    "num_targets": Choices((1, 2, 3)),
    "output_cost": Log(1e-4, 0.1),
    "patience": Choices((1, 2, 4)),
    "policy_delay": Choices((1, 2, 4)),
    "policy_phase": Choices((8, 16, 32)),
    "auxiliary_epochs": Choices((1, 3, 6)),
    "prior_scale": Log(0.3, 30.0),
    "priority_exponent": Linear(0.2, 1.0),
    "random_shift": Linear(0, 4),
    "replay_capacity": Choices((10_000, 50_000, 100_000)),
    "rmsprop_decay": Linear(0.9, 0.9999),
    "rmsprop_epsilon": Log(1e-8, 1e-3),
    "rollout_length": Choices((8, 32, 128)),
    "sequence_length": Choices((4, 8, 16)),
    "sequence_period": Choices((4, 8, 16)),
    "smoothing_clip": Linear(0.1, 1.0),
    "smoothing_noise": Linear(0.05, 0.5),
    "stop_kl": Log(3e-3, 0.3),
    "stream_sizes": Choices(((), (64,), (128,))),
    "target_entropy_scale": Linear(0.2, 1.5),
    "target_period": Log(10, 5_000),
    "target_step_size": Log(1e-3, 1.0),
    "temperature": Log(1e-3, 1.0),
    "temperature_epsilon": Log(1e-3, 1.0),
    "temperature_learning_rate": Log(1e-5, 1e-2),
    "top_fraction": Linear(0.1, 1.0),
    "trace_lambda": Linear(0.5, 1.0),
    "v_max": Log(1.0, 500.0),
    "v_min": Linear(-500.0, 0.0),
    "value_weight": Log(0.5, 10.0),
    "value_cost": Log(0.1, 2.0),
}
