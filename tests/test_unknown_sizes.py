"""A `tf.function` of axes whose size is not known gives what one of known sizes gives."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, intrinsic, networks, normalization, policies, random, struct
from rl_fn.agents import alphazero, ddpg, dreamer, mpo, muzero, ppo, rainbow, sac, td3
from rl_fn.envs.compiled import in_a_row
from tests.calls import CALLS
from tests.support import assert_nests_close

KEY = random.key(0)
IMAGES = spaces.Box(0, 255, [5, 6, 2], np.uint8)
SEVERAL = spaces.Dict({"a": spaces.Box(-1, 1, [2, 2]), "b": spaces.MultiDiscrete([2, 3]), "c": spaces.Discrete(3)})
BOX = spaces.Box(np.float32([-1, -2]), np.float32([1, 2]))
VECTOR = tf.TensorSpec([5])


def floats(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)


# Gradients that are written by hand here; those of all others are TensorFlow's own.
OWN_GRADIENTS = [name for name in CALLS if name.startswith("returns.")] + [
    "losses.batched_index",
    "losses.clip_gradient",
]


def values_and_gradients(args):
    """Of all calls of the table."""
    floating = {name: [arg for arg in args[name] if arg.dtype.is_floating] for name in OWN_GRADIENTS}
    with tf.GradientTape() as tape:
        tape.watch(floating)
        values = {name: call.function(*args[name]) for name, call in CALLS.items()}
        total = [tf.reduce_sum(value) for value in tf.nest.flatten({name: values[name] for name in OWN_GRADIENTS})]
    return values, tape.gradient(total, floating, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def test_values_and_gradients_of_every_function():
    def spec(name, tensor, argument):
        # Cells of pixels are cut at sizes that are known.
        free = argument.num_batch_axes if name.startswith("losses.pixel_control") else len(argument.axes)
        return tf.TensorSpec([None] * free + tensor.shape.as_list()[free:], tensor.dtype)

    args = {name: call.values() for name, call in CALLS.items()}
    specs = {
        name: [spec(name, tensor, argument) for tensor, argument in zip(args[name], call.arguments, strict=True)]
        for name, call in CALLS.items()
    }
    values, gradients = tf.function(values_and_gradients, autograph=False)(args)
    free = tf.function(values_and_gradients, input_signature=[specs], autograph=False)
    free_values, free_gradients = free(args)
    for name in CALLS:
        assert_nests_close(free_values[name], values[name], rtol=1e-5, atol=2e-6)
    assert_nests_close(free_gradients, gradients, rtol=1e-5, atol=2e-6)


def applied(network, spec, to_inputs=tf.identity):
    params = network.init(KEY, spec)
    return lambda inputs: network.apply(params, to_inputs(inputs))


def recurrent(network):
    params = network.init(KEY, VECTOR)

    def unroll(inputs):
        state = network.initial_state(tf.shape(inputs)[1])
        return network.unroll(params, state, inputs, inputs[..., 0] > 1), network.step(params, state, inputs[0])

    return unroll


def policy(space):
    head = policies.policy_head(space)

    def use(outputs):
        distribution = head.distribution(outputs)
        draw = policies.sample(KEY, distribution)
        return head.to_action(draw), head.to_action(policies.mode(distribution)), distribution.log_prob(draw)

    return use


def moments(inputs):
    running = normalization.RunningMoments.init(VECTOR).update(inputs)
    return running, running.normalize(inputs)


def scaled_rewards(reward):
    normalizer = normalization.RewardNormalizer.init(3).update(reward, reward > 1, 0.9)
    return normalizer, normalizer.normalize(reward)


def novelty(embeddings):
    rewards, memory = intrinsic.episodic_memory_rewards(intrinsic.episodic_memory(6, 5), embeddings, 2)
    return rewards, intrinsic.episodic_memory_rewards(memory, embeddings, 2), intrinsic.new_episode(memory)


def keras():
    model = tf.keras.Sequential([tf.keras.Input([5]), tf.keras.layers.Dense(2)])
    return applied(networks.from_keras(model), VECTOR)


TORSO = networks.mlp((8,), activate_final=True)
OBSERVATIONS = {"a": floats(3, 2, 2), "b": tf.ones([3, 2], tf.int64), "c": tf.range(3)}
PARTS = {
    "narrow": (lambda: applied(networks.dense(1), VECTOR), floats(4, 3, 5)),
    "dueling": (lambda: applied(networks.dueling(TORSO, 3, (4,), num_atoms=5), VECTOR), floats(4, 3, 5)),
    "noisy": (lambda: applied(networks.noisy(TORSO), VECTOR), floats(3, 5)),
    "gaussian": (lambda: applied(networks.gaussian(2), VECTOR), floats(3, 5)),
    "images": (lambda: applied(*networks.torso("minatar", IMAGES, (8,))), tf.ones([4, 3, 5, 6, 2], tf.uint8)),
    "keras": (keras, floats(3, 5)),
    "gru": (lambda: recurrent(networks.gru(4)), floats(4, 3, 5)),
    "lstm": (lambda: recurrent(networks.lstm(4)), floats(4, 3, 5)),
    "spaces": (lambda: networks.flatten(SEVERAL)[1], OBSERVATIONS),
    "one choice": (lambda: policy(spaces.Discrete(4)), floats(3, 4)),
    "several choices": (lambda: policy(spaces.MultiDiscrete([2, 3])), floats(3, 5)),
    "box": (lambda: policy(BOX), floats(3, 4)),
    "unit box": (lambda: policies.unit_box(BOX).to_action, floats(3, 2)),
    "moments": (lambda: moments, floats(4, 3, 5)),
    "rewards": (lambda: scaled_rewards, floats(4, 3)),
    "novelty": (lambda: novelty, floats(4, 5)),
}
FIXED = {"images": 3, "rewards": 1, "spaces": 0}  # axes at the end whose size is known; one for the others


def test_networks_policies_and_statistics():
    functions = {name: make() for name, (make, _) in PARTS.items()}
    inputs = {name: value for name, (_, value) in PARTS.items()}

    def call(inputs):
        return {name: functions[name](inputs[name]) for name in functions}

    def spec(name, tensor):
        free = 1 if name == "spaces" else tensor.shape.rank - FIXED.get(name, 1)
        return tf.TensorSpec([None] * free + tensor.shape.as_list()[free:], tensor.dtype)

    specs = {name: tf.nest.map_structure(lambda x, n=name: spec(n, x), value) for name, value in inputs.items()}
    expected = tf.function(call, autograph=False)(inputs)
    for jit_compile in (False, True):
        actual = tf.function(call, input_signature=[specs], autograph=False, jit_compile=jit_compile)(inputs)
        for name in functions:
            assert_nests_close(actual[name], expected[name], rtol=1e-5, atol=1e-5)


AGENTS = {
    "ddpg": (ddpg, ddpg.DDPGHParams(hidden_sizes=(8,)), spaces.Discrete(3)),
    "dreamer": (dreamer, dreamer.DreamerHParams(size="0.1m", num_bins=9), BOX),
    "mpo": (mpo, mpo.MPOHParams(hidden_sizes=(8,)), BOX),
    "muzero": (muzero, muzero.MuZeroHParams(hidden_sizes=(8,), num_simulations=4), spaces.Discrete(3)),
    "ppo": (ppo, ppo.PPOHParams(hidden_sizes=(8,), memory="lstm", memory_units=4, normalize_observations=True), BOX),
    "rainbow": (rainbow, rainbow.RainbowHParams(hidden_sizes=(8,), num_atoms=5), spaces.Discrete(3)),
    "sac": (sac, sac.SACHParams(hidden_sizes=(8,)), BOX),
    "td3": (td3, td3.TD3HParams(hidden_sizes=(8,)), BOX),
}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_acts_for_any_number_of_environments(name, mode):
    module, hparams, action_space = AGENTS[name]
    agent = module.make(struct.EnvSpec("any", spaces.Box(-1, 1, [5]), action_space), hparams)
    policy = agent.init(KEY).policy
    of_any_size = lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype)

    def act(actor_state, observation):
        return agent.act(policy, actor_state, observation, KEY, mode)

    specs = tf.nest.map_structure(of_any_size, (agent.init_actor(1), floats(1, 5)))
    free = tf.function(act, input_signature=specs, autograph=False)
    for num in (1, 3):
        args = agent.init_actor(num), floats(num, 5)
        assert_nests_close(free(*args), act(*args), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("search", ["gumbel", "puct"])
def test_a_search_is_of_any_number_of_games(search, mode):
    env = envs.make("TicTacToe-v0")
    agent = alphazero.make(env.spec, alphazero.AlphaZeroHParams(search=search, num_simulations=4, hidden_sizes=(8,)))
    policy = agent.init(KEY).policy
    act = lambda boards: agent.act(policy, (), boards, KEY, mode)
    free = tf.function(act, input_signature=[tf.TensorSpec([None, 3, 3, 3])], autograph=False)
    for num in (1, 3):
        _, boards = env.reset(KEY, num)
        assert_nests_close(free(boards), act(boards), rtol=1e-5, atol=1e-6)


def test_an_opponent_searches_in_any_number_of_games():
    game, boards = in_a_row.GAMES["tic_tac_toe"], tf.TensorSpec([None, 3, 3], tf.bool)
    search = lambda mine, theirs: in_a_row.searched_move(in_a_row.State(mine, theirs), KEY, game=game, simulations=20)
    nothing = tf.zeros([3, 3, 3], tf.bool)
    free = tf.function(search, input_signature=[boards, boards], autograph=False)
    known = tf.function(search, autograph=False)
    np.testing.assert_array_equal(free(nothing, nothing), known(nothing, nothing))
