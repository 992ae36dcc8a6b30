"""Planning: Monte-Carlo tree search for a batch of states side by side, with any model.

    def recurrent_fn(params, key, action, embedding):
        successor = model.step(params, embedding, action)
        logits, value = network(params, successor)
        return planning.ModelStep(successor.reward, successor.discount, logits, value), successor

    root = planning.Root(logits, value, embedding)
    found = planning.gumbel_muzero_policy(params, key, root, recurrent_fn, num_simulations=32)
    found.action, found.action_weights, found.value

A model is a function, and so is what chooses the actions inside of a search; neither knows the other. A discount is
negative where the other player moves next: a value is always that of the one who moves.

- Whole searches: `muzero_policy`, by upper confidence bounds; `gumbel_muzero_policy`, which improves the policy with
  few simulations.
- Their steps, for searches of one's own: `search`, of `plant`, `simulate`, `expand` and `backward`.
- What chooses: `puct`, `uct`, `gumbel_root`, `gumbel_interior`, and what they are made of. They see a `Node` of each
  tree.
- What action values are compared on: `by_parent_and_siblings`, `by_bounds`, `unscaled`,
  `completed_by_mixed_value`.

Trees are tensors `[N, B, ...]`, a row per node. All that is random comes from the key. Searches have no gradient.
"""

from rl_fn._src.planning.policies import PolicyOutput, draw, gumbel_muzero_policy, masked, muzero_policy, with_noise
from rl_fn._src.planning.q_transforms import (
    QTransform,
    by_bounds,
    by_parent_and_siblings,
    completed_by_mixed_value,
    mixed_value,
    unscaled,
)
from rl_fn._src.planning.search import Edge, backward, expand, search, simulate
from rl_fn._src.planning.selection import (
    Selection,
    best_valid,
    gumbel_interior,
    gumbel_root,
    gumbel_scores,
    halving_visits,
    improved_logits,
    is_valid,
    puct,
    uct,
)
from rl_fn._src.planning.tree import (
    ROOT,
    UNVISITED,
    ModelStep,
    Node,
    RecurrentFn,
    Root,
    Tree,
    node_at,
    plant,
    root_node,
)

__all__ = [
    "ROOT",
    "UNVISITED",
    "Edge",
    "ModelStep",
    "Node",
    "PolicyOutput",
    "QTransform",
    "RecurrentFn",
    "Root",
    "Selection",
    "Tree",
    "backward",
    "best_valid",
    "by_bounds",
    "by_parent_and_siblings",
    "completed_by_mixed_value",
    "draw",
    "expand",
    "gumbel_interior",
    "gumbel_muzero_policy",
    "gumbel_root",
    "gumbel_scores",
    "halving_visits",
    "improved_logits",
    "is_valid",
    "masked",
    "mixed_value",
    "muzero_policy",
    "node_at",
    "plant",
    "puct",
    "root_node",
    "search",
    "simulate",
    "uct",
    "unscaled",
    "with_noise",
]
