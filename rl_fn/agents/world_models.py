"""World models (Ha and Schmidhuber, 2018): V, a variational auto-encoder of what is seen; M, a mixture-density LSTM of
what follows; C, a linear controller found by an evolution strategy, in dreams of M or in the environment.

A run goes through four stages, again in each round: steps are collected, V learns, M learns, C is searched for. All of
them are updates of one state, so that a run may be left and resumed anywhere. Environments are stepped and recorded
in every stage: at random until there is a controller, by the candidates of the search from then on.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, networks, optimizers, random, struct
from rl_fn.agents import world_model_stages as stages
from rl_fn.agents.base import ActorStep, Agent, Mode, check_trajectory
from rl_fn.agents.world_model_parts import STAGES, WorldModelsHParams, to_image
from rl_fn.agents.world_model_stages import Search, Step, Trial
from rl_fn.learning import Recording, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Transition


class WorldModelsPolicy(NamedTuple):
    vision: Nest
    memory: Nest
    controller: tf.Tensor  # [N]: the mean of the search
    candidates: tf.Tensor  # [P, N]: environment b acts by the one at b % P
    num_updates: tf.Tensor  # int32[]


class WorldModelsState(NamedTuple):
    vision: Trained
    memory: Trained
    search: optimizers.CMAState
    trial: Trial
    recording: Recording  # of `Step`s
    num_updates: tf.Tensor  # int32[]: the clock of the stages

    @property
    def policy(self) -> WorldModelsPolicy:
        """All that acting needs."""
        params = self.vision.params, self.memory.params
        return WorldModelsPolicy(*params, self.search.mean, self.trial.candidates, self.num_updates)


class Actor(NamedTuple):
    memory: Nest  # the state of M
    control: tf.Tensor  # [B, A]: the last random action


def make(spec: EnvSpec, hparams: WorldModelsHParams) -> Agent:
    """Makes a world-models agent.

    Raises:
      ValueError: if observations are no pictures, or actions neither Discrete nor a Box.
    """
    parts = hparams.make_parts(spec)
    vision, memory, control, num_envs = parts.vision, parts.memory, parts.control, hparams.num_envs

    def init(key: random.Key) -> WorldModelsState:
        keys = tf.unstack(random.split(key, 3), num=3)
        scalar, flag = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.bool)
        latent, action = tf.TensorSpec([hparams.latent_size]), tf.TensorSpec([control.size])
        step = Step(parts.picture_spec, action, scalar, flag, flag, networks.Posterior(latent, latent))
        image = tf.TensorSpec(parts.picture_spec.shape)
        search, zeros = parts.strategy.init(tf.zeros([control.num_weights])), tf.zeros([num_envs])
        return WorldModelsState(
            vision=learning.init_trained(vision.init(keys[0], image), parts.optimizer),
            memory=learning.init_trained(memory.init(keys[1]), parts.optimizer),
            search=search,
            trial=Trial(parts.strategy.ask(search, keys[2]), zeros, tf.zeros([num_envs], tf.bool), zeros, zeros),
            recording=learning.empty_recording(step, hparams.recording_rows, num_envs),
            num_updates=tf.constant(0),
        )

    def init_actor(batch_size: int) -> Actor:
        return Actor(memory.initial_state(batch_size), tf.zeros([batch_size, control.size]))

    def act(policy: WorldModelsPolicy, actor: Actor, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        picture = parts.to_picture(observation)
        posterior = vision.encode(policy.vision, to_image(picture))
        features = posterior.mean, actor.memory[0]
        held, extras = actor.control, {}
        if mode == "eval":
            chosen = control.choose(policy.controller[tf.newaxis], *(x[tf.newaxis] for x in features))[0]
        else:
            weights = tf.gather(policy.candidates, tf.range(posterior.mean.shape[0]) % hparams.population)
            chosen = control.choose(weights, *(x[:, tf.newaxis] for x in features))[:, 0]
            held = control.held(key, actor.control, hparams.persistence)
            chosen = tf.where(hparams.is_random(policy.num_updates), held, chosen)
            extras = {"picture": picture, "control": chosen, "posterior": posterior}
        _, state = memory.step(policy.memory, actor.memory, posterior.mean, chosen)
        return ActorStep(control.to_action(chosen), Actor(state, held), extras)

    def update(state: WorldModelsState, trajectory: Transition, key: random.Key) -> tuple[WorldModelsState, Metrics]:
        check_trajectory(hparams.schedule, trajectory)
        keys = tf.unstack(random.split(key, 5), num=5)
        stage, begins = hparams.stage(state.num_updates)
        is_in = {name: tf.cast(stage == index, tf.int32) for index, name in enumerate(STAGES)}
        begins_in = {name: count * tf.cast(begins, tf.int32) for name, count in is_in.items()}

        images, params = to_image(trajectory.extras["picture"][:, 0]), state.vision.params
        held_out = lambda nothing, key: (nothing, stages.vision_loss(parts, params, images, key, hparams)[1])
        _, unseen = learning.repeat(held_out, (), is_in["vision"], keys[0], stages.VISION_METRICS)
        recording = learning.record(state.recording, recorded(trajectory))

        count = is_in["vision"] * hparams.vision_steps
        # The stages have their gradient steps at their time; the step size is that of the run's.
        now = parts._replace(optimizer=hparams.make_optimizer(num_updates=state.num_updates))
        vision, seeing = stages.learn_vision(now, state.vision, recording, count, keys[1], hparams)
        length = hparams.rollout_length
        recording = stages.seen_again(parts, vision.params, recording, begins_in["memory"], length)

        count = is_in["memory"] * hparams.memory_steps
        memory, knowing = stages.learn_memory(now, state.memory, recording, count, keys[2], hparams)

        is_new = begins_in["controller"] > 0  # V and M are others than before, and so is what is searched for
        strategy = struct.where(is_new, parts.strategy.init(state.search.mean), state.search)
        candidates = struct.where(is_new, parts.strategy.ask(strategy, keys[4]), state.trial.candidates)
        search, count = Search(strategy, candidates), is_in["controller"]
        trial = stages.tried(state.trial._replace(began=state.trial.began & ~is_new), trajectory)
        if hparams.controller_training == "dream":
            inputs = memory.params, recording, count * hparams.generations, keys[3], hparams
            search, searching = stages.search_in_dreams(parts, search, *inputs)
        else:
            count -= begins_in["controller"]  # what was acted in is older than these candidates
            search, searching = stages.search_in_environments(parts, search, trial, count, keys[3])
        zeros = tf.zeros_like(trial.total)
        anew = Trial(search.candidates, trial.returns, trajectory.is_last[-1], zeros, zeros)
        trial = struct.where(is_new | (search.strategy.generation != strategy.generation), anew, trial)

        size = tf.cast(recording.num_rows * num_envs, tf.float32)
        metrics = {"stage": tf.cast(stage, tf.float32), "replay/size": size, "held_out_elbo": unseen["elbo"]}
        after = WorldModelsState(vision, memory, search.strategy, trial, recording, state.num_updates + 1)
        return after, {**metrics, **seeing, **knowing, **searching}

    def cut(state: WorldModelsState) -> WorldModelsState:
        trial, nothing = state.trial, tf.zeros_like(state.trial.returns)
        trial = trial._replace(returns=nothing, began=tf.zeros_like(trial.began))
        return state._replace(recording=cut_off(state.recording), trial=trial)

    return Agent(hparams.schedule, init, init_actor, act, update, cut)


def recorded(trajectory: Transition) -> Step:
    """What is recorded of a trajectory."""
    extras, is_last = trajectory.extras, trajectory.is_last
    ends = trajectory.reward, trajectory.terminated, is_last
    return Step(extras["picture"], extras["control"], *ends, extras["posterior"])


def cut_off(recording: Recording) -> Recording:
    """A recording of `Step`s whose newest ones are the last of their episodes, without being ends of the task."""
    rows, is_last = recording.steps.is_last.shape[0], recording.steps.is_last
    is_newest = tf.range(rows) == recording.row_of(recording.num_rows - 1)
    is_newest &= recording.num_rows > 0
    return recording._replace(steps=recording.steps._replace(is_last=is_last | is_newest[:, tf.newaxis]))
