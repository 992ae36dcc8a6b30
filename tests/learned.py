"""What a run might have learned, without a run: agents as they begin, in their environments."""

from rl_fn import agents, envs, random
from rl_fn.runs import Loaded, Policy


def learned(agent, env, **values):
    """An agent of a few units, with random parameters."""
    module = getattr(agents, agent)
    hparams = next(kind for name, kind in vars(module).items() if name.lower() == f"{agent}hparams")
    env = envs.make(env) if isinstance(env, str) else env
    made = module.make(env.spec, hparams(**{"hidden_sizes": (8,), **values}))
    return Loaded(made, env, Policy(made, made.init(random.key(0)).policy, env.spec), env_steps=0)
