"""What wrappers do to the environment in which a policy is judged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from rl_fn.envs.base import Env, judged

P = ParamSpec("P")
Wrapper = Callable[Concatenate[Env, P], Env]


def changes_task(wrapper: Wrapper[P]) -> Wrapper[P]:
    """Of a wrapper that changes what the agent sees or does: it is around the environment of the evaluation too.

    The rules inside are not those that the agent meets, so it cannot plan with them.
    """

    @functools.wraps(wrapper)
    def wrapped(env: Env, /, *args: P.args, **kwargs: P.kwargs) -> Env:
        _check(wrapper, env)
        evaluation = env.evaluation and wrapper(env.evaluation, *args, **kwargs)
        made = wrapper(env, *args, **kwargs)
        return made._replace(spec=made.spec._replace(model=None), evaluation=evaluation)

    return wrapped


def changes_rewards(wrapper: Wrapper[P]) -> Wrapper[P]:
    """Of a wrapper that changes only what is learned from: a policy is judged by the rewards without it.

    The rules inside have those rewards, too, so the agent cannot plan with them.
    """

    @functools.wraps(wrapper)
    def wrapped(env: Env, /, *args: P.args, **kwargs: P.kwargs) -> Env:
        _check(wrapper, env)
        made = wrapper(env, *args, **kwargs)
        return made._replace(spec=made.spec._replace(model=None), evaluation=judged(env))

    return wrapped


def _check(wrapper: Wrapper[P], env: Env) -> None:
    if isinstance(env, Env):
        return
    label = f"{getattr(wrapper, '__name__', 'a wrapper')}: env is"
    if isinstance(env, str):
        raise TypeError(f"{label} {env!r}, expected an environment, such as rl.envs.make({env!r})")
    raise TypeError(
        f"{label} a {type(env).__name__}, expected a compiled environment; those of Gymnasium have "
        "gymnasium.wrappers, before rl.envs.gymnasium_env"
    )
