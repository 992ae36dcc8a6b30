"""Who looks for a function on another page is told where it is."""

import pytest

import rl_fn


@pytest.mark.parametrize(
    ("page", "name", "sentence"),
    [
        (rl_fn, "vtrace", "module 'rl_fn' has no attribute 'vtrace'; it is rl_fn.returns.vtrace"),
        (rl_fn.losses, "lambda_returns", "has no attribute 'lambda_returns'; it is rl_fn.returns.lambda_returns"),
        (rl_fn.losses, "qlearning", "has no attribute 'qlearning'; the nearest is rl_fn.losses.q_learning"),
        (rl_fn.returns, "epsilon_greedy", "it is rl_fn.policies.epsilon_greedy"),
        (rl_fn.policies, "muzero_pair", "it is rl_fn.transforms.muzero_pair"),
        (rl_fn.losses, "zzz", "module 'rl_fn.losses' has no attribute 'zzz'$"),
        (rl_fn.losses, "__path__", "module 'rl_fn.losses' has no attribute '__path__'$"),
    ],
)
def test_the_sentence_says_where_it_is(page, name, sentence):
    with pytest.raises(AttributeError, match=sentence):
        getattr(page, name)
