"""Networks as pairs of pure functions: `init(key, spec) -> params` and `apply(params, inputs) -> outputs`.

Parameters are nests of dicts whose names explain themselves: `{"layer_0": {"kernel", "bias"}, ...}`.
`spec` is a `tf.TensorSpec` of one input without batch axes; `apply` takes any number of batch axes.
"""

from rl_fn._src.networks.action_values import action_values, dueling
from rl_fn._src.networks.actor_critic import ActorCritic, actor_critic
from rl_fn._src.networks.autoencoder import Posterior, VariationalAutoencoder, variational_autoencoder
from rl_fn._src.networks.base import (
    ACTIVATIONS,
    OWN,
    KeyedNetwork,
    Network,
    layer_norm,
    lecun_normal,
    lecun_uniform,
    orthogonal,
    output_spec,
)
from rl_fn._src.networks.convolution import convolution
from rl_fn._src.networks.ensemble import ensemble
from rl_fn._src.networks.feedforward import (
    dense,
    gaussian,
    mlp,
    noisy_features,
    policy_layer,
    separate,
    sequential,
    shared,
)
from rl_fn._src.networks.keras import from_keras
from rl_fn._src.networks.latent_model import LatentModel, latent_model
from rl_fn._src.networks.mixture_density import Mixture, MixtureDensityMemory, Prediction, mixture_density_memory
from rl_fn._src.networks.noisy import NOISES, NoisyNetwork, noisy
from rl_fn._src.networks.normalized import BatchNormNetwork, batch_norm_mlp, dropout_mlp
from rl_fn._src.networks.observations import flatten, image
from rl_fn._src.networks.own import is_own, own
from rl_fn._src.networks.policy_and_value import policy_and_value
from rl_fn._src.networks.reconstruction import ObservationModel, observation_model
from rl_fn._src.networks.recurrent import MEMORIES, RecurrentNetwork, gru, lstm, memory, recurrent
from rl_fn._src.networks.recurrent_values import RecurrentValues, recurrent_values
from rl_fn._src.networks.torsos import ENCODERS, TORSOS, Encoder, encoder, torso
from rl_fn._src.networks.world_model import (
    MODEL_SIZES,
    RSSM,
    Latent,
    ModelSize,
    mix_uniform,
    normed_mlp,
    rssm,
    straight_through,
    zero_init,
)

__all__ = [
    "ACTIVATIONS",
    "ENCODERS",
    "MEMORIES",
    "MODEL_SIZES",
    "NOISES",
    "OWN",
    "RSSM",
    "TORSOS",
    "ActorCritic",
    "BatchNormNetwork",
    "Encoder",
    "KeyedNetwork",
    "Latent",
    "LatentModel",
    "Mixture",
    "MixtureDensityMemory",
    "ModelSize",
    "Network",
    "NoisyNetwork",
    "ObservationModel",
    "Posterior",
    "Prediction",
    "RecurrentNetwork",
    "RecurrentValues",
    "VariationalAutoencoder",
    "action_values",
    "actor_critic",
    "batch_norm_mlp",
    "convolution",
    "dense",
    "dropout_mlp",
    "dueling",
    "encoder",
    "ensemble",
    "flatten",
    "from_keras",
    "gaussian",
    "gru",
    "image",
    "is_own",
    "latent_model",
    "layer_norm",
    "lecun_normal",
    "lecun_uniform",
    "lstm",
    "memory",
    "mix_uniform",
    "mixture_density_memory",
    "mlp",
    "noisy",
    "noisy_features",
    "normed_mlp",
    "observation_model",
    "orthogonal",
    "output_spec",
    "own",
    "policy_and_value",
    "policy_layer",
    "recurrent",
    "recurrent_values",
    "rssm",
    "separate",
    "sequential",
    "shared",
    "straight_through",
    "torso",
    "variational_autoencoder",
    "zero_init",
]
