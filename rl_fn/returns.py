"""Multi-step returns and advantages over time-major sequences.

Index t counts steps: `r_t` is the reward of step t, `v_tm1` the value of the state it starts from, and
`v_t` and `discount_t` belong to the state it leads to, the true successor also where an episode is
truncated. `discount_t` is gamma, and 0 where the task terminated.

`truncated_t` marks the steps after which the next row belongs to another episode although the task
did not terminate: the return bootstraps from `v_t` there and nothing of the next row enters. `mask_t`
is for sequences of different lengths in one batch: it is false where a row is padding. A row before
padding is treated like the last row of the sequence, and padding returns zero. With lengths `[B]` it
is `tf.transpose(tf.sequence_mask(lengths, T))`.

All functions are batched: `[T]`, `[T, B]` or more axes. Gradients flow into everything but where a
docstring says otherwise.
"""

from typing import TYPE_CHECKING

from rl_fn._src import pages
from rl_fn._src.returns.multistep import (
    discounted_returns,
    generalized_advantage_estimation,
    lambda_returns,
    n_step_returns,
)
from rl_fn._src.returns.nonlinear_bellman import (
    transformed_lambda_returns,
    transformed_n_step_q_learning,
    transformed_n_step_returns,
    transformed_off_policy_returns_from_action_values,
    transformed_q_lambda,
    transformed_retrace,
)
from rl_fn._src.returns.off_policy import (
    categorical_importance_sampling_ratios,
    importance_corrected_td_errors,
    importance_sampling_ratios,
    off_policy_returns_from_action_values,
    off_policy_returns_from_q_and_v,
)
from rl_fn._src.returns.recurrence import reverse_recurrence
from rl_fn._src.returns.vtrace import VTraceOutput, leaky_vtrace, vtrace

__all__ = [
    "VTraceOutput",
    "categorical_importance_sampling_ratios",
    "discounted_returns",
    "generalized_advantage_estimation",
    "importance_corrected_td_errors",
    "importance_sampling_ratios",
    "lambda_returns",
    "leaky_vtrace",
    "n_step_returns",
    "off_policy_returns_from_action_values",
    "off_policy_returns_from_q_and_v",
    "reverse_recurrence",
    "transformed_lambda_returns",
    "transformed_n_step_q_learning",
    "transformed_n_step_returns",
    "transformed_off_policy_returns_from_action_values",
    "transformed_q_lambda",
    "transformed_retrace",
    "vtrace",
]

if not TYPE_CHECKING:
    __getattr__ = pages.attribute_of(__name__)
