"""World models (Ha and Schmidhuber, 2018): V, a variational auto-encoder of what is seen; M, a mixture-density LSTM of
what follows; C, a linear controller found by an evolution strategy, in dreams of M or in the environment.

A run goes through four stages, again in each round: steps are collected, V learns, M learns, C is searched for. All of
them are updates of one state, so that a run may be left and resumed anywhere. Environments are stepped and recorded
in every stage: at random in the first round until there is a controller, by the candidates of the search afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, optimizers, random, struct
from rl_fn._src.scan import scan
from rl_fn.agents.base import ActorStep, Agent, Mode, check_trajectory
from rl_fn.agents.world_model_parts import STAGES, WorldModelsHParams
from rl_fn.learning import Recording, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Transition

VISION_METRICS = ("vision_loss", "elbo", "pixel_error", "kl", "used_latents")
MEMORY_METRICS = ("memory_loss", "latent_likelihood", "reward_loss", "end_loss")
SEARCH_METRICS = ("search_return", "search_best", "step_size")


class Trial(NamedTuple):
    """The candidates of the search, and what they came to in the environments."""

    candidates: tf.Tensor  # [P, N]
    returns: tf.Tensor  # [B]: of the episodes so far
    began: tf.Tensor  # bool[B]: whether the episode began under these candidates
    total: tf.Tensor  # [B]: of the returns of the episodes that did, and ended
    count: tf.Tensor  # [B]: of these


class WorldModelsPolicy(NamedTuple):
    vision: Nest
    memory: Nest
    controller: tf.Tensor  # [N]: the mean of the search
    candidates: tf.Tensor  # [P, N]
    num_updates: tf.Tensor  # int32[]


class WorldModelsState(NamedTuple):
    vision: Trained
    memory: Trained
    search: optimizers.CMAState
    trial: Trial
    recording: Recording
    num_updates: tf.Tensor  # int32[]: the clock of the stages

    @property
    def policy(self) -> WorldModelsPolicy:
        """All that acting needs."""
        params = self.vision.params, self.memory.params
        return WorldModelsPolicy(*params, self.search.mean, self.trial.candidates, self.num_updates)


class Actor(NamedTuple):
    memory: Nest  # the state of M
    control: tf.Tensor  # [B, A]: the last random action


class Step(NamedTuple):
    """What is recorded of a step."""

    observation: tf.Tensor
    control: tf.Tensor  # [A]: the action as M takes it
    reward: tf.Tensor
    terminated: tf.Tensor
    is_last: tf.Tensor
    posterior: networks.Posterior  # of V as it is from the stage of M on


def vision_loss(
    vision: networks.VariationalAutoencoder, params: Nest, images: tf.Tensor, key: random.Key, hparams: WorldModelsHParams
) -> tuple[tf.Tensor, Metrics]:
    """The negative evidence lower bound of images `[N, H, W, C]`: Ha and Schmidhuber (2018), appendix A.1."""
    posterior = vision.encode(params, images)
    flat = lambda x: tf.reshape(x, [x.shape[0], -1])
    decoded = flat(vision.decode(params, posterior.sample(key)))
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
    memory: networks.MixtureDensityMemory, params: Nest, steps: Step, key: random.Key, hparams: WorldModelsHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of steps `[L + 1, N, ...]`, of whose last only the latent counts: appendix A.2 of the paper.

    Where an episode ends there is no next latent to predict.
    """
    latents = steps.posterior.sample(key)
    steps = struct.at(steps, slice(0, -1))
    is_first = tf.concat([tf.zeros_like(steps.is_last[:1]), steps.is_last[:-1]], axis=0)
    begin = memory.initial_state(latents.shape[1])
    predicted, _ = memory.unroll(params, begin, latents[:-1], steps.control, is_first)
    log_likelihood = losses.mixture_log_likelihood(latents[1:], *predicted.latent)
    likelihood = losses.masked_mean(log_likelihood, tf.cast(~steps.is_last, tf.float32))
    reward_loss = tf.reduce_mean(losses.l2_loss(predicted.reward - hparams.reward_scale * steps.reward))
    ends = tf.cast(steps.terminated, tf.float32)
    end_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(ends, predicted.end_logit))
    total = -likelihood + hparams.reward_cost * reward_loss + hparams.end_cost * end_loss
    metrics = {"latent_likelihood": likelihood, "reward_loss": reward_loss, "end_loss": end_loss}
    return total, {"memory_loss": total, **metrics}


def make(spec: EnvSpec, hparams: WorldModelsHParams) -> Agent:
    """Makes a world-models agent; raises ValueError without pictures, or for actions that are no vector or choice."""
    vision, memory, to_image, control = hparams.make_parts(spec)
    optimizer = hparams.make_optimizer()
    strategy = optimizers.cma_es(hparams.population, hparams.initial_step_size)
    num_envs, population = hparams.num_envs, hparams.population

    def init(key: random.Key) -> WorldModelsState:
        keys = tf.unstack(random.split(key, 3), num=3)
        image_spec, _ = networks.image(spec.observation_space)
        search = strategy.init(tf.zeros([control.num_weights]))
        zeros = tf.zeros([num_envs])
        scalar, flag = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.bool)
        latent, action = tf.TensorSpec([hparams.latent_size]), tf.TensorSpec([control.size])
        observation = struct.space_spec(spec.observation_space)
        step = Step(observation, action, scalar, flag, flag, networks.Posterior(latent, latent))
        return WorldModelsState(
            vision=learning.init_trained(vision.init(keys[0], image_spec), optimizer),
            memory=learning.init_trained(memory.init(keys[1]), optimizer),
            search=search,
            trial=Trial(strategy.ask(search, keys[2]), zeros, tf.zeros([num_envs], tf.bool), zeros, zeros),
            recording=learning.empty_recording(step, hparams.recording_rows, num_envs),
            num_updates=tf.constant(0),
        )

    def init_actor(batch_size: int) -> Actor:
        return Actor(memory.initial_state(batch_size), tf.zeros([batch_size, control.size]))

    def act(policy: WorldModelsPolicy, actor: Actor, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        posterior = vision.encode(policy.vision, to_image(observation))
        batch = posterior.mean.shape[0]
        if mode == "eval":
            chosen = control.choose(policy.controller[tf.newaxis], posterior.mean[tf.newaxis], actor.memory[0][tf.newaxis])[0]
            held, extras = actor.control, {}
        else:
            weights = tf.gather(policy.candidates, tf.range(batch) % population)
            alone = lambda x: x[:, tf.newaxis]
            chosen = control.choose(weights, alone(posterior.mean), alone(actor.memory[0]))[:, 0]
            held = control.held(key, actor.control, hparams.persistence)
            chosen = tf.where(hparams.is_random(policy.num_updates), held, chosen)
            extras = {"control": chosen, "posterior": posterior}
        _, state = memory.step(policy.memory, actor.memory, posterior.mean, chosen)
        return ActorStep(control.to_action(chosen), Actor(state, held), extras)

    def learn_vision(state: WorldModelsState, count: tf.Tensor, key: random.Key) -> tuple[Trained, Metrics]:
        def step(trained: Trained, key: random.Key) -> tuple[Trained, Metrics]:
            window_key, sample_key = tf.unstack(random.split(key))
            frames = state.recording.steps.observation
            images = to_image(learning.sample_windows(state.recording, frames, window_key, hparams.vision_batch, 1)[0])
            loss = lambda params: vision_loss(vision, params, images, sample_key, hparams)
            return learning.minimise(loss, optimizer, trained)

        return learning.repeat(step, state.vision, count, key, VISION_METRICS)

    def seen_again(state: WorldModelsState, count: tf.Tensor) -> networks.Posterior:
        """The posteriors of all recorded frames, by V as it is now."""
        rows, length = hparams.recording_rows, hparams.rollout_length

        def step(carry: tuple, key: random.Key) -> tuple[tuple, Metrics]:
            posterior, first = carry
            at = first + tf.range(length)
            images = to_image(tf.gather(state.recording.steps.observation, at))
            put = lambda kept, new: tf.tensor_scatter_nd_update(kept, at[:, tf.newaxis], new)
            fresh = vision.encode(state.vision.params, images)
            return (tf.nest.map_structure(put, posterior, fresh), first + length), {}

        begin = state.recording.steps.posterior, tf.constant(0)
        (posterior, _), _ = learning.repeat(step, begin, count * (rows // length), random.key(0), ())
        return posterior

    def learn_memory(state: WorldModelsState, count: tf.Tensor, key: random.Key) -> tuple[Trained, Metrics]:
        kept = state.recording.steps._replace(observation=state.recording.steps.reward)  # pictures are not needed

        def step(trained: Trained, key: random.Key) -> tuple[Trained, Metrics]:
            window_key, sample_key = tf.unstack(random.split(key))
            size = hparams.memory_batch, hparams.sequence_length + 1
            steps = learning.sample_windows(state.recording, kept, window_key, *size)
            loss = lambda params: memory_loss(memory, params, steps, sample_key, hparams)
            return learning.minimise(loss, optimizer, trained)

        return learning.repeat(step, state.memory, count, key, MEMORY_METRICS)

    def search_in_dreams(state: WorldModelsState, count: tf.Tensor, key: random.Key) -> tuple[tuple, Metrics]:
        kept = state.recording.steps._replace(observation=state.recording.steps.reward)
        shape = lambda x: tf.broadcast_to(x, [population, *x.shape])  # all candidates dream from the same beginnings

        def generation(carry: tuple, key: random.Key) -> tuple[tuple, Metrics]:
            search, candidates = carry
            window_key, sample_key, dream_key, ask_key = tf.unstack(random.split(key, 4), num=4)
            size = hparams.dream_starts, hparams.warm_up + 1
            steps = learning.sample_windows(state.recording, kept, window_key, *size)
            latents = steps.posterior.sample(sample_key)
            is_first = tf.concat([tf.zeros_like(steps.is_last[:1]), steps.is_last[:-1]], axis=0)
            warm = latents[:-1], steps.control[:-1], is_first[:-1]
            _, begin = memory.unroll(state.memory.params, memory.initial_state(hparams.dream_starts), *warm)
            begin = struct.where(is_first[-1], memory.initial_state(hparams.dream_starts), begin)
            imagined = learning.dream(
                memory,
                state.memory.params,
                *tf.nest.map_structure(shape, (latents[-1], begin)),
                lambda latent, hidden: control.choose(candidates, latent, hidden),
                dream_key,
                hparams.dream_length,
                hparams.temperature,
                leading=1,
            )
            scores = tf.reduce_mean(imagined.returns(hparams.gamma), axis=-1) / hparams.reward_scale
            search = strategy.tell(search, candidates, -scores)
            metrics = {"search_return": tf.reduce_mean(scores), "search_best": tf.reduce_max(scores)}
            return (search, strategy.ask(search, ask_key)), {**metrics, "step_size": search.step_size}

        return learning.repeat(generation, (state.search, state.trial.candidates), count, key, SEARCH_METRICS)

    def search_in_environments(state: WorldModelsState, count: tf.Tensor, key: random.Key) -> tuple[tuple, Metrics]:
        trial = state.trial
        count = count * tf.cast(tf.reduce_all(trial.count > 0), tf.int32)

        def generation(carry: tuple, key: random.Key) -> tuple[tuple, Metrics]:
            search, candidates = carry
            each = tf.reshape(trial.total / tf.maximum(trial.count, 1.0), [num_envs // population, population])
            scores = tf.reduce_mean(each, axis=0)
            search = strategy.tell(search, candidates, -scores)
            metrics = {"search_return": tf.reduce_mean(scores), "search_best": tf.reduce_max(scores)}
            return (search, strategy.ask(search, key)), {**metrics, "step_size": search.step_size}

        return learning.repeat(generation, (state.search, trial.candidates), count, key, SEARCH_METRICS)

    def update(state: WorldModelsState, trajectory: Transition, key: random.Key) -> tuple[WorldModelsState, Metrics]:
        check_trajectory(hparams.schedule, trajectory)
        keys = tf.unstack(random.split(key, 4), num=4)
        stage, begins = hparams.stage(state.num_updates)
        is_in = lambda name: tf.cast(stage == STAGES.index(name), tf.int32)
        begins_in = lambda name: is_in(name) * tf.cast(begins, tf.int32)

        extras = trajectory.extras
        steps = Step(
            trajectory.observation,
            extras["control"],
            trajectory.reward,
            trajectory.terminated,
            trajectory.is_last,
            extras["posterior"],
        )
        _, fresh = learning.repeat(  # before V has learned from them
            lambda nothing, key: (
                nothing,
                vision_loss(vision, state.vision.params, to_image(trajectory.observation[:, 0]), key, hparams)[1],
            ),
            (),
            is_in("vision"),
            keys[0],
            VISION_METRICS,
        )
        state = state._replace(recording=learning.record(state.recording, steps))
        trained, vision_metrics = learn_vision(state, is_in("vision") * hparams.vision_steps, keys[1])
        state = state._replace(vision=trained)
        posterior = seen_again(state, begins_in("memory"))
        recorded = state.recording.steps._replace(posterior=posterior)
        state = state._replace(recording=state.recording._replace(steps=recorded))
        trained, memory_metrics = learn_memory(state, is_in("memory") * hparams.memory_steps, keys[2])
        state = state._replace(memory=trained)

        anew = strategy.init(state.search.mean)  # the features of a new round are others
        state = state._replace(search=struct.where(begins_in("controller") > 0, anew, state.search))
        trial = state.trial._replace(began=tf.zeros_like(state.trial.began))  # episodes that began at random
        trial = struct.where(begins_in("controller") > 0, trial, state.trial)
        state = state._replace(trial=tried(trial, trajectory))
        if hparams.controller_training == "dream":
            found, search_metrics = search_in_dreams(state, is_in("controller") * hparams.generations, keys[3])
        else:
            found, search_metrics = search_in_environments(state, is_in("controller"), keys[3])
        search, candidates = found
        is_new = search.generation != state.search.generation
        trial = state.trial._replace(candidates=candidates)
        zeros = tf.zeros_like(trial.total)
        trial = struct.where(is_new, trial._replace(began=trajectory.is_last[-1], total=zeros, count=zeros), trial)
        state = state._replace(search=search, trial=trial, num_updates=state.num_updates + 1)
        metrics = {"stage": tf.cast(stage, tf.float32), "held_out_elbo": fresh["elbo"]}
        return state, {**metrics, **vision_metrics, **memory_metrics, **search_metrics}

    return Agent(hparams.schedule, init, init_actor, act, update)


def tried(trial: Trial, trajectory: Transition) -> Trial:
    """What the candidates have come to after another trajectory `[T, B]`."""

    def step(trial: Trial, x: tuple) -> tuple[Trial, None]:
        reward, is_last = x
        returns, counts = trial.returns + reward, is_last & trial.began
        after = Trial(
            candidates=trial.candidates,
            returns=tf.where(is_last, 0.0, returns),
            began=trial.began | is_last,
            total=trial.total + tf.where(counts, returns, 0.0),
            count=trial.count + tf.cast(counts, tf.float32),
        )
        return after, None

    return scan(step, trial, (trajectory.reward, trajectory.is_last))[0]
