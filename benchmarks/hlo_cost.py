"""Operations and bytes of a compiled program, counted in the text of its optimised HLO.

TensorFlow does not hand out XLA's own cost analysis, so this does what that does. Operations are those of the matrix
products (`dot`): twice the size of the result times the length of the contracted axis. Bytes are what each
instruction outside a fusion reads and writes, as if nothing stayed in a cache; of an operand that is only sliced or
gathered from, and of one that is updated in place, only the rows concerned count. A loop's body counts as often as the
loop runs, which XLA notes where it knows it.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from typing import NamedTuple

_SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "s64": 8, "u64": 8, "f64": 8}
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%(?P<name>\S+) = (?P<type>\(.*?\)|\S+) (?P<op>[\w-]+)\((?P<rest>.*)$")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%(\S+) \(")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
# These move nothing: they name what is there already.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota", "after-all", "partition-id"}
_PARTIAL = {"gather", "dynamic-slice", "slice"}  # read as much as they write


class Product(NamedTuple):
    """The form of a matrix product: the shapes of its two sides, and the axes that they share."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    contracted: tuple[tuple[int, int], ...]  # pairs of an axis on the left and one on the right, summed over
    batched: tuple[tuple[int, int], ...]  # such pairs that are kept

    @property
    def operations(self) -> float:
        """Twice the size of the result times the length of what is summed over."""
        shared = {right for _, right in (*self.contracted, *self.batched)}
        return 2.0 * math.prod(self.left) * math.prod(n for axis, n in enumerate(self.right) if axis not in shared)

    def equation(self) -> str:
        """For `tf.einsum`."""
        left = list(string.ascii_lowercase[: len(self.left)])
        right = list(string.ascii_uppercase[: len(self.right)])
        for one, other in (*self.contracted, *self.batched):
            right[other] = left[one]
        summed, batch = ({left[one] for one, _ in pairs} for pairs in (self.contracted, self.batched))
        kept = [*(name for name in left if name in batch), *(name for name in left if name not in summed | batch)]
        kept += [name for name in right if name not in left]
        return f"{''.join(left)},{''.join(right)}->{''.join(kept)}"


class Cost(NamedTuple):
    """What a part of a program does."""

    products: Counter[Product]  # how often each is computed
    bytes: float  # read and written

    @property
    def operations(self) -> float:
        """Of all matrix products."""
        return sum((times * product.operations for product, times in self.products.items()), 0.0)


class Instruction(NamedTuple):
    """A line of HLO."""

    name: str
    shapes: list[tuple[str, list[int]]]  # dtype and dimensions; several where it is a tuple
    op: str
    operands: list[str]
    attributes: str

    @property
    def bytes(self) -> int:
        """The size of the result."""
        return sum(_SIZES.get(dtype, 4) * math.prod(dims) for dtype, dims in self.shapes)


def cost(text: str, unknown_trips: int) -> Cost:
    """The cost of one iteration of the loop in `loops.Compiled.run`.

    Args:
      text: of `loops.Compiled.hlo()`.
      unknown_trips: how often those loops inside the iteration run of which XLA does not know it.

    Raises:
      ValueError: if the text has no entry computation.
    """
    computations, entry = _parsed(text)
    if entry is None:
        raise ValueError("the text has no line that begins with ENTRY, expected that of an optimised HLO module")
    return _of(entry, computations, unknown=1, unknown_inside=unknown_trips)


def _parsed(text: str) -> tuple[dict[str, dict[str, Instruction]], str | None]:
    computations: dict[str, dict[str, Instruction]] = {}
    current, entry = {}, None
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            current = computations.setdefault(header[1], {})
            entry = header[1] if line.startswith("ENTRY") else entry
        elif found := _INSTRUCTION.match(re.sub(r"/\*.*?\*/", "", line)):
            arguments, _, attributes = found["rest"].partition(")")
            shapes = [
                (kind, [int(size) for size in dims.split(",") if size]) for kind, dims in _ARRAY.findall(found["type"])
            ]
            # Of a parameter, the text in brackets is its index.
            operands = [arguments] if found["op"] == "parameter" else re.findall(r"%([^\s,)]+)", arguments)
            current[found["name"]] = Instruction(found["name"], shapes, found["op"], operands, attributes)
    return computations, entry


def _of(name: str, computations: dict, unknown: int, unknown_inside: int) -> Cost:
    products, traffic = Counter[Product](), 0.0
    body = computations[name]
    for instruction in body.values():
        if instruction.op == "while":
            known = re.search(r'"known_trip_count":\{"n":"(\d+)"', instruction.attributes)
            trips = int(known[1]) if known else unknown
            loop = re.search(r"body=%([^\s,]+)", instruction.attributes)[1]
            inner = _of(loop, computations, unknown_inside, unknown_inside)
            products.update({product: trips * times for product, times in inner.products.items()})
            traffic += trips * inner.bytes
        elif instruction.op in ("call", "conditional"):
            # Of a choice the dearest part counts, which is learning.
            parts = [_of(part, computations, unknown, unknown_inside) for part in _called(instruction)]
            inner = max(parts, key=lambda part: (part.operations, part.bytes))
            products.update(inner.products)
            traffic += inner.bytes
        elif instruction.op not in _FREE:
            products.update(_products(instruction, body, computations))
            traffic += _traffic(instruction, body, computations)
    return Cost(products, traffic)


def _called(instruction: Instruction) -> list[str]:
    """The computations of a call, or those of a condition that it chooses from."""
    several = re.search(r"branch_computations=\{([^}]*)\}", instruction.attributes)
    single = r"(?:to_apply|true_computation|false_computation)=%([^\s,}]+)"
    return re.findall(r"%([^\s,]+)", several[1]) if several else re.findall(single, instruction.attributes)


def _products(instruction: Instruction, body: dict[str, Instruction], computations: dict) -> list[Product]:
    """The matrix products in an instruction, those in its fusion included."""
    if instruction.op == "dot":
        left, right = (tuple(body[operand].shapes[0][1]) for operand in instruction.operands[:2])
        contracted, batched = (_axes(kind, instruction.attributes) for kind in ("contracting", "batch"))
        return [Product(left, right, contracted, batched)]
    inside = _inside(instruction, computations)
    return [product for inner in inside.values() for product in _products(inner, inside, computations)]


def _axes(kind: str, attributes: str) -> tuple[tuple[int, int], ...]:
    """The pairs of axes of one kind, on the left and on the right."""
    sides = [re.search(rf"{side}_{kind}_dims=\{{([\d,]*)\}}", attributes) for side in ("lhs", "rhs")]
    left, right = ([int(axis) for axis in found[1].split(",") if axis] if found else [] for found in sides)
    return tuple(zip(left, right, strict=True))


def _inside(instruction: Instruction, computations: dict) -> dict[str, Instruction]:
    """What a fusion is made of."""
    called = re.search(r"calls=%([^\s,}]+)", instruction.attributes)
    return computations[called[1]] if called and instruction.op == "fusion" else {}


def _traffic(instruction: Instruction, body: dict[str, Instruction], computations: dict) -> float:
    """Bytes that an instruction reads and writes."""
    if instruction.op in _PARTIAL:
        return 2.0 * instruction.bytes
    if instruction.op in ("dynamic-update-slice", "scatter"):
        return 2.0 * body[instruction.operands[-1 if instruction.op == "scatter" else 1]].bytes
    inside = _inside(instruction, computations)
    written, read = instruction.bytes, 0
    for index, operand in enumerate(instruction.operands):
        whole = body[operand].bytes if operand in body else 0
        parts = _parts(index, inside) if inside else None
        read += whole if parts is None else min(whole, parts)
        if parts is not None and _updates(index, inside):
            written -= max(0, whole - parts)
    return float(read + max(written, 0))


def _users(index: int, inside: dict[str, Instruction]) -> tuple[str | None, list[Instruction]]:
    name = next((i.name for i in inside.values() if i.op == "parameter" and i.operands == [str(index)]), None)
    return name, [i for i in inside.values() if i.op != "parameter" and name in i.operands]


def _parts(index: int, inside: dict[str, Instruction]) -> int | None:
    """Bytes read of a fusion's operand where it reads only rows of it, else None."""
    name, users = _users(index, inside)
    total = 0
    for user in users:
        if user.op in _PARTIAL and user.operands[0] == name:
            total += user.bytes
        elif user.op == "dynamic-update-slice" and user.operands[0] == name:
            total += inside[user.operands[1]].bytes
        else:
            return None
    return total


def _updates(index: int, inside: dict[str, Instruction]) -> bool:
    """Whether a fusion updates its operand in place."""
    name, users = _users(index, inside)
    return any(user.op == "dynamic-update-slice" and user.operands[0] == name for user in users)
