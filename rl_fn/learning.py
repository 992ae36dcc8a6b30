"""What agents are put together from; it knows no agent and no loop.

A gradient step: `minimise`, the one place where a gradient meets an optimiser.

    trained = init_trained(network.init(key, spec), optimizer)
    trained, metrics = minimise(lambda params: loss(network, params, batch), optimizer, trained)

Target parameters: `TargetLearner` with `periodic` or `incremental` targets, and the `target_gradient_step` of a loss.
Learning from replay: `update_from_replay` makes the update of an agent of its buffer and its gradient step.
Learning from a rollout: its `advantages`, `sequences_of` it (or of any steps, `in_sequences`), `over_minibatches` of
them; `normalized` advantages; and what to say of an update: `approx_kl`, `clip_fraction`, `explained_variance`.
The natural gradient: `trust_region_step`, by the method of `conjugate_gradient`.
Critics: `critics` and `keyed_critics` side by side, `with_action`, `successor_values`. Policies: `soft_policy` and
`squashed_policy` of maximum-entropy control, `direct_policy` and `action_critic` of deterministic policy gradients.
Images: `random_shift`. Exploration: `uniform_at_first`, `held_noise`; schedules are those of `rl_fn.optimizers`.
World models: of Dreamer `remember`, `world_model_loss`, `imagine`; a `Recording` of the newest steps, with its
`sample_windows` and `sample_firsts`; `dream`s of a recurrent model; `repeat`, for steps that may be none, and `every`,
for those that are due now and then.
"""

from rl_fn._src.learning.augmentation import random_shift
from rl_fn._src.learning.critics import critics, keyed_critics, keyless, successor_values
from rl_fn._src.learning.direct_policies import ActionCritic, DirectPolicy, action_critic, direct_policy
from rl_fn._src.learning.dreams import Dream, dream
from rl_fn._src.learning.exploration import HeldNoise, held_noise, no_noise, uniform_at_first
from rl_fn._src.learning.from_replay import Learned, OffPolicyPolicy, OffPolicyState, update_from_replay
from rl_fn._src.learning.imagination import (
    Imagined,
    ModelActions,
    Remembered,
    WorldModel,
    imagine,
    model_actions,
    remember,
    world_model_loss,
)
from rl_fn._src.learning.minibatches import in_sequences, over_minibatches
from rl_fn._src.learning.minimise import Trained, init_trained, minimise
from rl_fn._src.learning.on_policy import (
    OnPolicyPolicy,
    OnPolicyState,
    Rollout,
    Sequences,
    advantages,
    approx_kl,
    clip_fraction,
    explained_variance,
    normalized,
    sequences_of,
)
from rl_fn._src.learning.recordings import Recording, empty_recording, record, sample_firsts, sample_windows
from rl_fn._src.learning.repeat import every, repeat
from rl_fn._src.learning.soft_policies import SoftPolicy, SquashedPolicy, soft_policy, squashed_policy, with_action
from rl_fn._src.learning.targets import (
    TargetLearner,
    TargetUpdate,
    incremental,
    init_target_learner,
    periodic,
    target_gradient_step,
)
from rl_fn._src.learning.trust_region import TrustRegionStep, conjugate_gradient, trust_region_step

__all__ = [
    "ActionCritic",
    "DirectPolicy",
    "Dream",
    "HeldNoise",
    "Imagined",
    "Learned",
    "ModelActions",
    "OffPolicyPolicy",
    "OffPolicyState",
    "OnPolicyPolicy",
    "OnPolicyState",
    "Recording",
    "Remembered",
    "Rollout",
    "Sequences",
    "SoftPolicy",
    "SquashedPolicy",
    "TargetLearner",
    "TargetUpdate",
    "Trained",
    "TrustRegionStep",
    "WorldModel",
    "action_critic",
    "advantages",
    "approx_kl",
    "clip_fraction",
    "conjugate_gradient",
    "critics",
    "direct_policy",
    "dream",
    "empty_recording",
    "every",
    "explained_variance",
    "held_noise",
    "imagine",
    "in_sequences",
    "incremental",
    "init_target_learner",
    "init_trained",
    "keyed_critics",
    "keyless",
    "minimise",
    "model_actions",
    "no_noise",
    "normalized",
    "over_minibatches",
    "periodic",
    "random_shift",
    "record",
    "remember",
    "repeat",
    "sample_firsts",
    "sample_windows",
    "sequences_of",
    "soft_policy",
    "squashed_policy",
    "successor_values",
    "target_gradient_step",
    "trust_region_step",
    "uniform_at_first",
    "update_from_replay",
    "with_action",
    "world_model_loss",
]
