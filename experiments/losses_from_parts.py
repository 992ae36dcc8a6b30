"""The losses of four algorithms, composed from the parts: what a user writes, to read and to copy.

Batches are `rl.struct.Transition`s: `[B, ...]` for DQN and SAC, `[T, B, ...]` for PPO and IMPALA. Networks
are functions of parameters and observations.
"""

import tensorflow as tf

import rl_fn as rl


def dqn_loss(q_network, params, target_params, batch, gamma=0.99):
    """Double DQN: Mnih et al. (2015), van Hasselt et al. (2016)."""
    error = rl.losses.double_q_learning(
        q_tm1=q_network(params, batch.observation),
        a_tm1=batch.action,
        r_t=batch.reward,
        discount_t=batch.discount(gamma),
        q_t_value=q_network(target_params, batch.next_observation),
        q_t_selector=q_network(params, batch.next_observation),
    )
    return tf.reduce_mean(rl.losses.huber_loss(error))


def ppo_loss(policy_network, value_network, params, batch, gamma=0.99, lambda_=0.95, epsilon=0.2):
    """PPO on one rollout: Schulman et al. (2017). The actor stored `log_prob` and `value` in `extras`."""
    old_value, old_log_prob = batch.extras["value"], batch.extras["log_prob"]
    advantage = rl.returns.generalized_advantage_estimation(
        batch.reward,
        batch.discount(gamma),
        old_value,
        tf.stop_gradient(value_network(params["value"], batch.next_observation)),
        lambda_,
        batch.is_last,
    )
    normalized = (advantage - tf.reduce_mean(advantage)) / (tf.math.reduce_std(advantage) + 1e-8)
    policy = rl.policies.categorical(policy_network(params["policy"], batch.observation))
    ratio = tf.exp(policy.log_prob(batch.action) - old_log_prob)
    policy_loss = rl.losses.clipped_surrogate_pg_loss(ratio, normalized, epsilon)
    value = value_network(params["value"], batch.observation)
    value_loss = rl.losses.clipped_value_loss(value, old_value, advantage + old_value, epsilon)
    return tf.reduce_mean(policy_loss + 0.5 * value_loss - 0.01 * policy.entropy())


def sac_losses(policy_network, q_network, params, target_params, batch, key, gamma=0.99, target_entropy=-1.0):
    """SAC with a learned temperature: Haarnoja et al. (2018). `q_network` returns both critics, `[B, 2]`."""
    key, next_key = tf.unstack(rl.random.split(key))
    alpha = tf.exp(params["log_alpha"])
    now = rl.policies.squashed_sample(
        key, rl.policies.squashed_gaussian(*policy_network(params["policy"], batch.observation))
    )
    following = rl.policies.squashed_sample(
        next_key, rl.policies.squashed_gaussian(*policy_network(params["policy"], batch.next_observation))
    )
    q_t = q_network(target_params, batch.next_observation, following.action)
    q_tm1 = q_network(params["q"], batch.observation, batch.action)
    error = rl.losses.sac_critic_error(
        q_tm1, batch.reward, batch.discount(gamma), q_t, following.log_prob, tf.stop_gradient(alpha)
    )
    fixed_critics = tf.nest.map_structure(tf.stop_gradient, params["q"])
    q_now = tf.reduce_min(q_network(fixed_critics, batch.observation, now.action), axis=-1)
    actor_loss = tf.reduce_mean(rl.losses.sac_actor_loss(now.log_prob, q_now, alpha))
    temperature_loss = tf.reduce_mean(rl.losses.sac_temperature_loss(alpha, now.log_prob, target_entropy))
    return actor_loss + temperature_loss + tf.reduce_mean(rl.losses.l2_loss(error))


def impala_loss(policy_network, value_network, params, batch, gamma=0.99):
    """IMPALA: Espeholt et al. (2018). The actor, some updates behind, stored its `log_prob` in `extras`."""
    logits = policy_network(params["policy"], batch.observation)
    policy = rl.policies.categorical(logits)
    ratio = rl.returns.importance_sampling_ratios(policy.log_prob(batch.action), batch.extras["log_prob"])
    vtrace = rl.returns.vtrace(
        v_tm1=value_network(params["value"], batch.observation),
        v_t=value_network(params["value"], batch.next_observation),
        r_t=batch.reward,
        discount_t=batch.discount(gamma),
        rho_tm1=ratio,
        truncated_t=batch.is_last,
    )
    policy_loss = rl.losses.policy_gradient_loss(logits, batch.action, vtrace.advantages)
    value_loss = rl.losses.l2_loss(vtrace.errors)
    return tf.reduce_mean(policy_loss + 0.5 * value_loss + 0.01 * rl.losses.entropy_loss(logits))
