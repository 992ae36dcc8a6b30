"""The side of rejax, with gymnax's environments."""

from __future__ import annotations

from typing import Any

import jax
import rejax
import turns
from cases import Case
from flax import linen
from rejax.evaluate import evaluate
from rejax.networks import MLP, DiscreteQNetwork, EpsilonGreedyPolicy

ENVS = {"MinAtar/Breakout": "Breakout-MinAtar"}


class MeanQNetwork(DiscreteQNetwork):
    """A network with as many outputs as a distribution for each action has, whose means are the values."""

    num_outputs: int = 1  # of each action

    @linen.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Values `[N, A]` of observations `[N, ...]`."""
        outputs = linen.Dense(self.action_dim * self.num_outputs)(MLP.__call__(self, observation))
        return outputs.reshape(-1, self.action_dim, self.num_outputs).mean(axis=-1)


def algorithm_of(case: Case) -> rejax.Algorithm:
    """The algorithm, equal to the case's settings."""
    settings = case.settings
    networks = {"hidden_layer_sizes": settings["hidden_sizes"], "activation": settings["activation"]}
    common = {
        "env": ENVS.get(case.env, case.env),
        "num_envs": settings["num_envs"],
        "learning_rate": settings["learning_rate"],
        "gamma": settings["gamma"],
    }
    if case.algorithm in ("ppo", "a2c"):
        return rejax.PPO.create(
            **common,
            agent_kwargs=networks,
            num_steps=settings["rollout_length"],
            num_epochs=settings["num_epochs"],
            num_minibatches=settings["num_minibatches"],
            gae_lambda=settings["gae_lambda"],
            clip_eps=settings["clip_epsilon"],
            ent_coef=settings["entropy_cost"],
            vf_coef=settings["value_cost"],
            max_grad_norm=settings["max_grad_norm"],
        )
    replay = {
        "buffer_size": settings["replay_capacity"],
        "fill_buffer": settings["learning_starts"],
        "batch_size": settings["batch_size"],
        "num_epochs": settings["gradient_steps"],
    }
    if case.algorithm == "sac":
        return rejax.SAC.create(
            **common,
            **replay,
            hidden_layer_sizes=settings["hidden_sizes"],
            agent_kwargs={"activation": settings["activation"]},
            polyak=1 - settings["target_step_size"],
        )
    if case.algorithm == "td3":
        td3 = rejax.TD3.create(
            **common,
            **replay,
            exploration_noise=settings["exploration_noise"],
            target_noise=settings["smoothing_noise"],
            target_noise_clip=settings["smoothing_clip"],
            policy_delay=settings["policy_delay"],
            polyak=1 - settings["target_step_size"],
        )
        # `create` has sizes of its own, which cannot be chosen.
        chosen = {**networks, "activation": getattr(linen, settings["activation"])}
        return td3.replace(actor=td3.actor.clone(**chosen), critic=td3.critic.clone(**chosen))
    dqn = rejax.DQN.create(
        **common,
        **replay,
        max_grad_norm=settings["max_grad_norm"],
        ddqn=settings["double_q"],
        eps_start=settings["epsilon"],
        eps_end=settings["epsilon"],
        polyak=0.0,  # copies the parameters whole
        target_update_freq=settings["target_period"] * settings["num_envs"] * settings["rollout_length"],
    )
    # As above.
    network = EpsilonGreedyPolicy(MeanQNetwork)(
        hidden_layer_sizes=settings["hidden_sizes"],
        activation=getattr(linen, settings["activation"]),
        action_dim=int(dqn.action_dim),
        num_outputs=settings.get("num_atoms", settings.get("num_quantiles", 1)),
    )
    return dqn.replace(agent=network)


class Rejax:
    """What `train` of rejax does between two evaluations, compiled for any number of iterations."""

    def __init__(self, case: Case):
        self._algorithm = algorithm = algorithm_of(case)
        self._copies = case.copies
        # What `train_iteration` of TD3 goes through is all between two updates of its policy.
        self._at_once = case.settings.get("policy_delay", 1)
        keys = jax.random.split(jax.random.PRNGKey(0), case.copies)

        def train(state, iterations):
            return jax.lax.fori_loop(0, iterations, lambda _, state: algorithm.train_iteration(state), state)

        if case.copies > 1:
            self._state = jax.jit(jax.vmap(algorithm.init_state))(keys)
            self._train = jax.jit(jax.vmap(train, in_axes=(0, None)), donate_argnums=0)
        else:
            self._state = jax.jit(algorithm.init_state)(keys[0])
            self._train = jax.jit(train, donate_argnums=0)

    def compile(self) -> jax.stages.Compiled:
        """Compiles before the first run."""
        self._train = self._train.lower(self._state, 1).compile()
        return self._train

    def run(self, iterations: int) -> None:
        """See `turns.Side`."""
        self._state = jax.block_until_ready(self._train(self._state, -(-iterations // self._at_once)))

    def settle(self, iterations: int) -> dict[str, Any]:
        """There is nothing to choose."""
        self.run(iterations)
        return {}

    def evaluate(self, episodes: int) -> float:
        """See `turns.Side`."""
        algorithm = self._algorithm

        def play(state, key):
            limit = algorithm.env_params.max_steps_in_episode
            act = algorithm.make_act(state)
            return evaluate(act, key, algorithm.env, algorithm.env_params, episodes, limit)[1]

        keys = jax.random.split(jax.random.PRNGKey(1_000), self._copies)
        returns = jax.vmap(play)(self._state, keys) if self._copies > 1 else play(self._state, keys[0])
        return float(returns.mean())


if __name__ == "__main__":
    turns.serve(Rejax, ("rejax", "gymnax", "jax", "flax", "optax"))
