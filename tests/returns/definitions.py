"""Returns as their papers define them: NumPy, float64, one number at a time."""

import numpy as np


def last_rows(truncated_t, mask_t=None):
    """Where nothing follows."""
    last = truncated_t.copy()
    last[-1] = True
    if mask_t is not None:
        last[:-1] |= ~mask_t[1:]
    return last


def recurrence(x, decay):
    y = np.zeros(np.broadcast_shapes(x.shape, decay.shape))
    following = np.zeros_like(y[0])
    for t in reversed(range(len(y))):
        following = y[t] = x[t] + np.where(decay[t] == 0, 0.0, decay[t] * following)
    return y


def vtrace(v_tm1, v_t, r_t, discount_t, rho_tm1, lambda_, clip_rho, clip_pg_rho, truncated_t):
    """Sums over products of trace weights (Espeholt et al., 2018, equation 1), for each first step on its own."""
    length, batch = r_t.shape
    targets, advantages = np.zeros((length, batch)), np.zeros((length, batch))
    last = last_rows(truncated_t)
    for s, b in np.ndindex(length, batch):
        total, weight = v_tm1[s, b], 1.0
        for t in range(s, length):
            delta = r_t[t, b] + discount_t[t, b] * v_t[t, b] - v_tm1[t, b]
            total += weight * min(clip_rho, rho_tm1[t, b]) * delta
            weight *= discount_t[t, b] * lambda_[t, b] * min(1.0, rho_tm1[t, b])
            if last[t, b]:
                break
        targets[s, b] = total
    for s, b in np.ndindex(length, batch):
        bootstrap = v_t[s, b]
        if not last[s, b]:
            bootstrap += lambda_[s, b] * (targets[s + 1, b] - v_tm1[s + 1, b])
        estimate = r_t[s, b] + discount_t[s, b] * bootstrap
        advantages[s, b] = min(clip_pg_rho, rho_tm1[s, b]) * (estimate - v_tm1[s, b])
    return targets, advantages


def off_policy_returns(q_t, v_t, r_t, discount_t, c_t, truncated_t):
    result = np.zeros_like(r_t, np.float64)
    last = last_rows(truncated_t)
    for t, b in reversed(list(np.ndindex(r_t.shape))):
        bootstrap = v_t[t, b]
        if not last[t, b]:
            bootstrap += c_t[t, b] * (result[t + 1, b] - q_t[t, b])
        result[t, b] = r_t[t, b] + discount_t[t, b] * bootstrap
    return result


def importance_corrected_td_errors(v_tm1, v_t, r_t, discount_t, rho_tm1, lambda_, truncated_t):
    errors = np.zeros_like(r_t, np.float64)
    last = last_rows(truncated_t)
    for s, b in np.ndindex(r_t.shape):
        weight = rho_tm1[s, b]
        for t in range(s, len(r_t)):
            errors[s, b] += weight * (r_t[t, b] + discount_t[t, b] * v_t[t, b] - v_tm1[t, b])
            if last[t, b]:
                break
            weight *= discount_t[t, b] * lambda_[t, b] * rho_tm1[t + 1, b]
    return errors
