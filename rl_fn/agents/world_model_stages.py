"""The stages of world models: what V, M and C learn from a recording, each a number of steps that may be none."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, optimizers, random, struct
from rl_fn._src.scan import scan
from rl_fn.agents.world_model_parts import Parts, WorldModelsHParams, to_image
from rl_fn.learning import Recording, Trained
from rl_fn.struct import Metrics, Nest, Transition

VISION_METRICS = ("vision_loss", "elbo", "pixel_error", "kl", "used_latents")
MEMORY_METRICS = (
    "memory_loss",
    "latent_likelihood",
    "reward_loss",
    "end_loss",
    "memory_grad_norm",
    "memory_learning_rate",
)
SEARCH_METRICS = ("search_return", "search_best", "step_size")


class Step(NamedTuple):
    """What is recorded of a step."""

    picture: tf.Tensor
    control: tf.Tensor  # [A]: the action as M takes it
    reward: tf.Tensor
    terminated: tf.Tensor
    is_last: tf.Tensor
    posterior: networks.Posterior  # by V as it is from the stage of M on

    @property
    def is_first(self) -> tf.Tensor:
        """Where an episode begins inside a window `[L, N]`: false in the first row."""
        return tf.concat([tf.zeros_like(self.is_last[:1]), self.is_last[:-1]], axis=0)


class Trial(NamedTuple):
    """The candidates of the search, and what they have come to in the environments."""

    candidates: tf.Tensor  # [P, N]
    returns: tf.Tensor  # [B]: of the episodes so far
    began: tf.Tensor  # bool[B]: whether the episode began under these candidates
    total: tf.Tensor  # [B]: of the returns of the episodes that did, and ended
    count: tf.Tensor  # [B]: of these


class Search(NamedTuple):
    strategy: optimizers.CMAState
    candidates: tf.Tensor  # [P, N]: drawn from it


def vision_loss(
    parts: Parts, params: Nest, images: tf.Tensor, key: random.Key, hparams: WorldModelsHParams
) -> tuple[tf.Tensor, Metrics]:
    """The negative evidence lower bound of images `[N, H, W, C]`: Ha and Schmidhuber (2018), appendix A.1."""
    posterior = parts.vision.encode(params, images)
    flat = lambda x: tf.reshape(x, [x.shape[0], -1])
    decoded = flat(parts.vision.decode(params, posterior.sample(key)))
    loss = losses.variational_loss(flat(images), decoded, *posterior, hparams.pixel_deviation, hparams.free_nats)
    kl = tf.reduce_mean(loss.kl, axis=0)
    total = tf.reduce_mean(loss.loss)
    return total, {
        "vision_loss": total,
        "elbo": -tf.reduce_mean(loss.negative_likelihood) - tf.reduce_sum(kl),
        "pixel_error": tf.reduce_mean(tf.square(flat(images) - decoded)),
        "kl": tf.reduce_sum(kl),
        "used_latents": tf.reduce_sum(tf.cast(kl > 0.1, tf.float32)),
    }


def memory_loss(
    parts: Parts, params: Nest, steps: Step, key: random.Key, hparams: WorldModelsHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of steps `[L + 1, N, ...]`, of whose last only the latent counts: appendix A.2 of the paper.

    Where an episode ends there is no next latent to predict.
    """
    latents = steps.posterior.sample(key)
    steps = struct.at(steps, slice(0, -1))
    begin = parts.memory.initial_state(latents.shape[1])
    predicted, _ = parts.memory.unroll(params, begin, latents[:-1], steps.control, steps.is_first)
    log_likelihood = losses.mixture_log_likelihood(latents[1:], *predicted.latent)
    likelihood = losses.masked_mean(log_likelihood, tf.cast(~steps.is_last, tf.float32))
    reward_loss = tf.reduce_mean(losses.l2_loss(predicted.reward - hparams.reward_scale * steps.reward))
    ends = tf.cast(steps.terminated, tf.float32)
    end_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(ends, predicted.end_logit))
    total = -likelihood + hparams.reward_cost * reward_loss + hparams.end_cost * end_loss
    metrics = {"latent_likelihood": likelihood, "reward_loss": reward_loss, "end_loss": end_loss}
    return total, {"memory_loss": total, **metrics}


def learn_vision(
    parts: Parts, trained: Trained, recording: Recording, count: tf.Tensor, key: random.Key, hparams: WorldModelsHParams
) -> tuple[Trained, Metrics]:
    """Gradient steps of V on recorded frames."""
    frames = recording.steps.picture

    def step(trained: Trained, key: random.Key) -> tuple[Trained, Metrics]:
        window_key, sample_key = tf.unstack(random.split(key))
        images = learning.sample_windows(recording, frames, window_key, hparams.vision_batch, 1)[0]
        loss = lambda params: vision_loss(parts, params, to_image(images), sample_key, hparams)
        return learning.minimise(loss, parts.optimizer, trained, "vision_")

    return learning.repeat(step, trained, count, key, (*VISION_METRICS, "vision_grad_norm", "vision_learning_rate"))


def seen_again(parts: Parts, params: Nest, recording: Recording, count: tf.Tensor, length: int) -> Recording:
    """A recording with all posteriors by V as it is now, or as it was where `count` is 0; `length` rows at a time."""
    rows = recording.steps.reward.shape[0]

    def step(carry: tuple, key: random.Key) -> tuple[tuple, Metrics]:
        posterior, first = carry
        at = first + tf.range(length)
        fresh = parts.vision.encode(params, to_image(tf.gather(recording.steps.picture, at)))
        put = lambda kept, new: tf.tensor_scatter_nd_update(kept, at[:, tf.newaxis], new)
        return (tf.nest.map_structure(put, posterior, fresh), first + length), {}

    begin = recording.steps.posterior, tf.constant(0)
    (posterior, _), _ = learning.repeat(step, begin, count * (rows // length), random.key(0), ())
    return recording._replace(steps=recording.steps._replace(posterior=posterior))


def learn_memory(
    parts: Parts, trained: Trained, recording: Recording, count: tf.Tensor, key: random.Key, hparams: WorldModelsHParams
) -> tuple[Trained, Metrics]:
    """Gradient steps of M on recorded sequences."""

    def step(trained: Trained, key: random.Key) -> tuple[Trained, Metrics]:
        window_key, sample_key = tf.unstack(random.split(key))
        steps = _windows(recording, window_key, hparams.memory_batch, hparams.sequence_length + 1)
        loss = lambda params: memory_loss(parts, params, steps, sample_key, hparams)
        return learning.minimise(loss, parts.optimizer, trained, "memory_")

    return learning.repeat(step, trained, count, key, MEMORY_METRICS)


def search_in_dreams(
    parts: Parts,
    search: Search,
    params: Nest,
    recording: Recording,
    count: tf.Tensor,
    key: random.Key,
    hparams: WorldModelsHParams,
) -> tuple[Search, Metrics]:
    """Generations of controllers that are tried in dreams of M: Ha and Schmidhuber (2018), section 4.

    All candidates dream from the same beginnings, recorded ones, and with the same random numbers: some of them where
    episodes began, which a good controller soon leaves behind. Where no recorded step ended an episode, no dream ends:
    M's small probability of it would be what a candidate seeks where rewards are negative.
    """
    can_end = tf.cast(tf.reduce_any(recording.steps.terminated), tf.float32)
    alike = lambda x: tf.broadcast_to(x, [hparams.population, *x.shape])
    number = hparams.dream_starts
    of_first = (tf.range(number, dtype=tf.float32) + 0.5) / number < hparams.first_fraction

    def generation(search: Search, key: random.Key) -> tuple[Search, Metrics]:
        window_key, sample_key, first_key, begin_key, dream_key, ask_key = tf.unstack(random.split(key, 6), num=6)
        steps = _windows(recording, window_key, number, hparams.warm_up + 1)
        latents = steps.posterior.sample(sample_key)
        kept = recording.steps
        first = learning.sample_firsts(recording, kept.posterior, kept.is_last, first_key, number).sample(begin_key)
        begin = warmed_up(parts, params, latents, steps)
        latent, begin = struct.where(of_first, (first, parts.memory.initial_state(number)), (latents[-1], begin))
        imagined = learning.dream(
            parts.memory,
            params,
            alike(latent),
            tf.nest.map_structure(alike, begin),
            lambda latent, hidden: parts.control.choose(search.candidates, latent, hidden),
            dream_key,
            hparams.dream_length,
            hparams.temperature,
            leading=1,
        )
        imagined = imagined._replace(end_probability=can_end * imagined.end_probability)
        scores = tf.reduce_mean(imagined.returns(hparams.gamma), axis=-1) / hparams.reward_scale
        return _told(parts, search, scores, ask_key)

    return learning.repeat(generation, search, count, key, SEARCH_METRICS)


def search_in_environments(
    parts: Parts, search: Search, trial: Trial, count: tf.Tensor, key: random.Key
) -> tuple[Search, Metrics]:
    """A generation of controllers, where each environment has come to the end of an episode under its candidate."""

    def generation(search: Search, key: random.Key) -> tuple[Search, Metrics]:
        scores = tf.reshape(trial.total / tf.maximum(trial.count, 1.0), [-1, search.candidates.shape[0]])
        return _told(parts, search, tf.reduce_mean(scores, axis=0), key)

    count *= tf.cast(tf.reduce_all(trial.count > 0), tf.int32)
    return learning.repeat(generation, search, count, key, SEARCH_METRICS)


def tried(trial: Trial, trajectory: Transition) -> Trial:
    """What the candidates have come to after another trajectory `[T, B]`."""

    def step(trial: Trial, x: tuple) -> tuple[Trial, None]:
        reward, is_last = x
        returns, counts = trial.returns + reward, is_last & trial.began
        after = trial._replace(
            returns=tf.where(is_last, 0.0, returns),
            began=trial.began | is_last,
            total=trial.total + tf.where(counts, returns, 0.0),
            count=trial.count + tf.cast(counts, tf.float32),
        )
        return after, None

    return scan(step, trial, (trajectory.reward, trajectory.is_last))[0]


def warmed_up(parts: Parts, params: Nest, latents: tf.Tensor, steps: Step) -> Nest:
    """The state of M before the last of recorded steps `[L, N]` whose latents are given."""
    none = parts.memory.initial_state(latents.shape[1])
    _, state = parts.memory.unroll(params, none, latents[:-1], steps.control[:-1], steps.is_first[:-1])
    return struct.where(steps.is_first[-1], none, state)


def _told(parts: Parts, search: Search, scores: tf.Tensor, key: random.Key) -> tuple[Search, Metrics]:
    strategy = parts.strategy.tell(search.strategy, search.candidates, -scores)
    metrics = {"search_return": tf.reduce_mean(scores), "search_best": tf.reduce_max(scores)}
    return Search(strategy, parts.strategy.ask(strategy, key)), {**metrics, "step_size": strategy.step_size}


def _windows(recording: Recording, key: random.Key, number: int, length: int) -> Step:
    steps = recording.steps._replace(picture=())  # pictures are not needed
    return learning.sample_windows(recording, steps, key, number, length)
