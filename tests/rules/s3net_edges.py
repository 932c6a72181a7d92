"""Who sees whom in a block, by the paper's drawings: what the built networks are held against."""


def edges(wiring: str, depth: int) -> list[tuple[int, int]]:
    """Who sees whom: (from, to) among the input 0, the layers 1 ... depth and the output depth + 1.

    A residual layer sees through its sum every one before it, by one wire a layer.
    """
    last, chain = depth + 1, [(i - 1, i) for i in range(1, depth + 1)]
    if wiring == "sparse":
        return [*chain, *((i, last) for i in range(depth + 1))]
    if wiring == "dense":
        return [(i, j) for j in range(1, depth + 2) for i in range(j)]
    if wiring == "residual":
        return [*chain, *((i - 1, i + 1) for i in range(1, depth + 1)), (depth, last)]
    if wiring == "plain":
        return [*chain, (depth, last)]
    raise KeyError(wiring)
