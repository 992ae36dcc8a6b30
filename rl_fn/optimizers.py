"""Optimisers as pairs of pure functions, and schedules of their numbers.

    optimizer = chain(clip_by_global_norm(0.5), adam(3e-4))
    opt_state = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = apply_updates(params, updates)

Updates are added to the parameters: a plain gradient step returns `-learning_rate * grads`.

- Whole optimisers: `sgd`, `rmsprop`, `adam`, `adamw`, `laprop`.
- What optimisers are made of, put together by `chain`: `clip`, `clip_by_global_norm`, `adaptive_grad_clip`,
  `add_decayed_weights`, `scale_by_adam`, `scale_by_rms`, `trace`, `scale`, `scale_by_schedule`, and at the end
  `scale_by_learning_rate`:

      chain(clip(1.0), scale_by_adam(), add_decayed_weights(1e-4, mask), scale_by_learning_rate(schedule))

- Groups of parameters: `masked` applies a transformation to some of them, `partition` gives each group its own.
- Searches without gradients: `cma_es`, whose candidates are asked for and told what they cost.
- Speed: `flatten` runs an optimiser on all small parameters as one vector.
- Schedules: `constant_schedule`, `linear_schedule`, `polynomial_schedule`, `cosine_schedule`,
  `exponential_schedule`, `piecewise_constant_schedule`; `join_schedules` has one follow the other, and `staircase`
  slows one down. Each holds its last value behind its end.

A learning rate is a number, a scalar tensor, or a function of the number of steps taken so far (int32[]): a schedule
of these, of `tf.keras.optimizers.schedules`, or one's own. Other numbers may be scalar tensors too.
"""

from rl_fn._src.optimizers.adam import AdamState, adam, adamw, scale_by_adam
from rl_fn._src.optimizers.base import Optimizer, ScalarOrSchedule, Schedule, apply_updates, chain, global_norm
from rl_fn._src.optimizers.clipping import adaptive_grad_clip, clip, clip_by_global_norm
from rl_fn._src.optimizers.cma_es import CMAState, EvolutionStrategy, cma_es
from rl_fn._src.optimizers.flatten import flatten
from rl_fn._src.optimizers.groups import Labels, add_decayed_weights, masked, partition
from rl_fn._src.optimizers.laprop import LaPropState, laprop
from rl_fn._src.optimizers.rms import RmsState, rmsprop, scale_by_rms
from rl_fn._src.optimizers.scaling import (
    ScheduleState,
    TraceState,
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
    sgd,
    trace,
)
from rl_fn._src.optimizers.schedules import (
    constant_schedule,
    cosine_schedule,
    exponential_schedule,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    staircase,
)

__all__ = [
    "AdamState",
    "CMAState",
    "EvolutionStrategy",
    "LaPropState",
    "Labels",
    "Optimizer",
    "RmsState",
    "ScalarOrSchedule",
    "Schedule",
    "ScheduleState",
    "TraceState",
    "adam",
    "adamw",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "apply_updates",
    "chain",
    "clip",
    "clip_by_global_norm",
    "cma_es",
    "constant_schedule",
    "cosine_schedule",
    "exponential_schedule",
    "flatten",
    "global_norm",
    "join_schedules",
    "laprop",
    "linear_schedule",
    "masked",
    "partition",
    "piecewise_constant_schedule",
    "polynomial_schedule",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_rms",
    "scale_by_schedule",
    "sgd",
    "staircase",
    "trace",
]
