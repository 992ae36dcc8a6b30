"""What the V and M of a run of world models know of episodes that they never saw, beside a linear model.

    PYTHONPATH=. python benchmarks/world_model.py runs/mine [--steps 500] [--seed 1]

Two sets of fresh steps are played at random, as in the stage of collection. On the first a linear-Gaussian model of the
latents is fitted by least squares, z' = A (z, a, 1) + noise of any covariance; on the second both models are asked.

- V: the squared error of pixels, of brightness 0 to 1; the evidence lower bound, in nats per picture, beside that of
  the run's own log; and the divergence of each latent from the prior, the largest first.
- M: the log-likelihood of the next latent, and of the one ten steps later with the actions known, in nats. Ten steps on
  both are sums over the dimensions alone: M's are means over 64 sampled futures. Then how well rewards are told: their
  correlation, and the area under the curve (AUC) for whether a reward is above the middle of the smallest and the
  largest; and the AUC for whether the episode terminates.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
import tensorflow as tf

from rl_fn import envs, losses, random, runs, struct
from rl_fn.agents import world_model_stages as stages
from rl_fn.agents.world_model_parts import Parts, to_image
from rl_fn.envs.base import Env
from rl_fn.runs.config import RunConfig
from rl_fn.runs.loading import Loaded

WARM_UP, AHEAD, FUTURES = 32, 10, 64


class Linear(NamedTuple):
    """z' = (z, a, 1) @ weights + noise."""

    weights: np.ndarray  # [Z + A + 1, Z]
    covariance: np.ndarray  # [Z, Z]

    @classmethod
    def fit(cls, latents: np.ndarray, controls: np.ndarray, following: np.ndarray) -> Linear:
        """By least squares, from rows."""
        inputs = with_one(latents, controls)
        weights = np.linalg.lstsq(inputs, following, rcond=None)[0]
        return cls(weights, np.cov(following - inputs @ weights, rowvar=False, bias=True))

    def likelihood(self, latents: np.ndarray, controls: np.ndarray, following: np.ndarray) -> float:
        """The mean log-likelihood of what follows, in nats."""
        error = following - with_one(latents, controls) @ self.weights
        return float(np.mean(scipy.stats.multivariate_normal(cov=self.covariance, allow_singular=True).logpdf(error)))

    def likelihood_ahead(self, latents: np.ndarray, controls: np.ndarray, last: np.ndarray) -> float:
        """That of the latents after all of the controls `[T, N, A]`, the sum of the dimensions' own."""
        moved, covariance = self.weights[: latents.shape[-1]], np.zeros_like(self.covariance)
        for control in controls:
            latents = with_one(latents, control) @ self.weights
            covariance = moved.T @ covariance @ moved + self.covariance
        deviation = np.sqrt(np.diag(covariance))
        return float(np.mean(np.sum(scipy.stats.norm.logpdf(last, latents, deviation), axis=-1)))


def with_one(latents: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """The inputs of the linear model, `[N, Z + A + 1]`."""
    return np.concatenate([latents, controls, np.ones([len(latents), 1])], axis=-1)


def played(loaded: Loaded, env: Any, parts: Parts, length: int, seed: int) -> stages.Step:
    """Steps `[length, B, ...]` of an environment at random, as a run records them."""
    policy = loaded.policy.params._replace(num_updates=tf.constant(0))  # before there is a controller
    acted = tf.function(lambda *inputs: loaded.agent.act(policy, *inputs, "train"), jit_compile=True, autograph=False)
    encoded = tf.function(lambda picture: parts.vision.encode(policy.vision, to_image(picture)), autograph=False)
    key, rows = random.key(seed), []
    if isinstance(env, Env):
        batch_size, step = 16, tf.function(env.step, jit_compile=True, autograph=False)
        state, observation = env.reset(random.fold_in(key, length), batch_size)
    else:
        batch_size, observation = env.num_envs, env.reset(seed)
    actor = loaded.agent.init_actor(batch_size)
    for index in range(length):
        act_key, step_key = tf.unstack(random.split(random.fold_in(key, index)))
        action, actor, extras = acted(actor, tf.convert_to_tensor(observation), act_key)
        if isinstance(env, Env):
            state, outcome = step(state, action, step_key)
        else:
            outcome = env.step(action.numpy())
        is_last = tf.convert_to_tensor(outcome.terminated | outcome.truncated)
        ends = outcome.reward, outcome.terminated, is_last
        rows.append(stages.Step(extras["picture"], extras["control"], *ends, encoded(extras["picture"])))
        actor, observation = struct.where(is_last, loaded.agent.init_actor(batch_size), actor), outcome.observation
    return tf.nest.map_structure(lambda *each: np.stack([np.asarray(one) for one in each]), *rows)


def of_vision(parts: Parts, params: Any, steps: stages.Step, hparams: Any) -> dict[str, Any]:
    """What V makes of frames."""
    loss = tf.function(
        lambda pictures, key: stages.vision_loss(parts, params, to_image(pictures), key, hparams)[1], autograph=False
    )
    each = [loss(pictures, random.key(index)) for index, pictures in enumerate(steps.picture)]
    kl = losses.standard_gaussian_kl(*steps.posterior).numpy().mean(axis=(0, 1))
    mean = lambda name: float(np.mean([metrics[name] for metrics in each]))
    return {
        "pixel error": mean("pixel_error"),
        "elbo": mean("elbo"),
        "kl by dimension": np.sort(kl)[::-1].round(2).tolist(),
    }


def of_memory(
    parts: Parts, params: Any, latents: np.ndarray, steps: stages.Step, linear: Linear, scale: float
) -> dict[str, Any]:
    """What M makes of latents `[L, B, Z]` of steps, beside the linear model."""
    begin = parts.memory.initial_state(latents.shape[1])
    predicted, _ = parts.memory.unroll(params, begin, latents[:-1], steps.control[:-1], steps.is_first[:-1])
    goes_on = ~steps.is_last[:-1]
    likelihood = losses.mixture_log_likelihood(latents[1:], *predicted.latent).numpy()[goes_on].mean()
    one = linear.likelihood(latents[:-1][goes_on], steps.control[:-1][goes_on], latents[1:][goes_on])
    reward, told = np.ravel(steps.reward[:-1]), np.ravel(predicted.reward) / scale
    above = reward > (reward.min() + reward.max()) / 2
    ahead, linear_ahead = likelihood_ahead(parts, params, latents, steps, linear)
    return {
        "next latent": (float(likelihood), one),
        f"latent after {AHEAD}": (ahead, linear_ahead),
        "correlation of rewards": float(np.corrcoef(reward, told)[0, 1]) if np.ptp(reward) else None,
        "AUC of high rewards": auc(above, told),
        "AUC of ends": auc(np.ravel(steps.terminated[:-1]), np.ravel(predicted.end_logit)),
    }


def likelihood_ahead(
    parts: Parts, params: Any, latents: np.ndarray, steps: stages.Step, linear: Linear
) -> tuple[float, float]:
    """The log-likelihood of latents AHEAD steps later by M and by the linear model, where no episode ends between."""
    ours, theirs = [], []
    for first in range(0, len(latents) - WARM_UP - AHEAD, WARM_UP):
        now, last = first + WARM_UP, first + WARM_UP + AHEAD
        whole = ~steps.is_last[now:last].any(axis=0)
        if not whole.any():
            continue
        begin = parts.memory.initial_state(latents.shape[1])
        before = latents[first:now], steps.control[first:now], steps.is_first[first:now]
        _, state = parts.memory.unroll(params, begin, *before)
        state = struct.where(steps.is_last[now - 1], begin, state)
        state, latent = tf.nest.map_structure(lambda x: tf.repeat(x, FUTURES, axis=0), (state, latents[now]))
        for index in range(now, last):
            prediction, state = parts.memory.step(
                params, state, latent, np.repeat(steps.control[index], FUTURES, axis=0)
            )
            latent = prediction.latent.sample(random.fold_in(random.key(first), index))
        wanted = np.repeat(latents[last], FUTURES, axis=0)[..., np.newaxis]  # as of as many latents of one dimension
        mixture = [part[..., np.newaxis, :] for part in prediction.latent]
        each = tf.reshape(losses.mixture_log_likelihood(wanted, *mixture), [-1, FUTURES, latents.shape[-1]])
        ours.append(tf.reduce_sum(tf.reduce_logsumexp(each, axis=1) - np.log(FUTURES), axis=-1).numpy()[whole])
        known = latents[now][whole], steps.control[now:last][:, whole], latents[last][whole]
        theirs.append((linear.likelihood_ahead(*known), whole.sum()))
    values, counts = zip(*theirs, strict=True)
    return float(np.concatenate(ours).mean()), float(np.average(values, weights=counts))


def auc(is_true: np.ndarray, score: np.ndarray) -> float | None:
    """The probability that the score of a true one is above that of another; None where all are the same."""
    if is_true.all() or not is_true.any():
        return None
    return float(scipy.stats.mannwhitneyu(score[is_true], score[~is_true]).statistic / is_true.sum() / (~is_true).sum())


def held_out(folder: Path) -> tuple[float, float] | None:
    """The first and the last evidence lower bound of frames before V learned from them, as the run tells it."""
    paths = sorted(folder.glob("run_*/metrics.csv")) or [folder / "metrics.csv"]
    with paths[0].open() as file:
        rows = [row.get("train/held_out_elbo") for row in csv.DictReader(file)]
    told = [float(value) for value in rows if value not in (None, "", "nan")]
    return (told[0], told[-1]) if told else None


def main() -> None:
    """Prints what a run knows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a run of world models")
    parser.add_argument("--steps", type=int, default=500, help="of each environment, in each of the two sets")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    loaded = runs.load(arguments.run)
    config = RunConfig.read(next(arguments.run.glob("run_*"), arguments.run))
    hparams: Any = config.make_hparams()
    env = loaded.env if isinstance(loaded.env, Env) else envs.registry.judged_like(loaded.env, hparams.num_envs)
    parts = hparams.make_parts(env.spec)
    params = loaded.policy.params
    fitted, asked = (
        played(loaded, env, parts, arguments.steps, seed) for seed in (arguments.seed, arguments.seed + 1_000)
    )
    for name, value in of_vision(parts, params.vision, asked, hparams).items():
        print(f"V: {name}: {value}")
    print(f"V: elbo of unseen frames in the run, first and last: {held_out(arguments.run)}")
    latents, known = (steps.posterior.sample(random.key(0)).numpy() for steps in (asked, fitted))
    goes_on = ~fitted.is_last[:-1]
    linear = Linear.fit(known[:-1][goes_on], fitted.control[:-1][goes_on], known[1:][goes_on])
    for name, value in of_memory(parts, params.memory, latents, asked, linear, hparams.reward_scale).items():
        print(f"M: {name}{' (M, linear)' if isinstance(value, tuple) else ''}: {value}")


if __name__ == "__main__":
    main()
