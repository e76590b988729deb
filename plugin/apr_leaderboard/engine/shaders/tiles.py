"""The WGSL of a matrix product, for a tile of the result that fits its shape.

Each thread keeps a small tile of the result in registers: for every four steps along K it loads four numbers a row at
once, and four a column group and step, and multiplies each with each. A load costs a software adapter several times
what a multiplication does, and what is loaded twice in a workgroup comes from a card's cache, so the larger the tile
and the wider the load, the faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["QUAD", "Tile", "product_shader", "tile_for"]

QUAD: Final = 4
"""Numbers loaded at once: K and N must be multiples of it."""
_ROWS, _QUADS = 16, 2
"""Of one thread at most: 128 sums, which with what is loaded fit the 255 registers of a thread of today's cards."""
_ACROSS, _THREADS = 8, 32
"""Threads side by side along N at most, and in a workgroup."""


@dataclass(frozen=True)
class Tile:
    """How a workgroup divides its part of the result: each thread has `rows` by `quads` groups of four columns of it,
    and there are `across` threads along N by `down` along M."""

    rows: int
    quads: int
    across: int
    down: int

    def groups(self, m: int, n: int) -> tuple[int, int]:
        """Workgroups along N and along M for a result of m by n."""
        return -(-n // (QUAD * self.quads * self.across)), -(-m // (self.rows * self.down))


def tile_for(m: int, n: int) -> Tile:
    """The tile for a result of m by n: as large as there is, and no larger than the result needs."""
    columns = -(-n // QUAD)
    rows, quads = _power(min(m, _ROWS)), _power(min(columns, _QUADS))
    across = _power(min(-(-columns // quads), _ACROSS))
    return Tile(rows, quads, across, _power(min(-(-m // rows), _THREADS // across)))


def product_shader(tile: Tile) -> str:
    """The program: A [m, k] times B [k, n], each row by row, in float32, k and n being multiples of four.

    Bindings: 0 the shape as three u32 (m, n / 4, k / 4), 1 A, 2 B, 3 the result. A thread beyond the edge computes what
    is at the edge, and stores nothing. A thread's column groups lie `across` apart, so that neighbours load neighbours.
    """
    rows, quads = range(tile.rows), [(j, f"{j * tile.across}u") for j in range(tile.quads)]
    body = [
        f"let row = group.y * {tile.rows * tile.down}u + thread.y * {tile.rows}u;",
        f"let column = group.x * {tile.quads * tile.across}u + thread.x;",
        *(f"let from{i} = min(row + {i}u, shape.m - 1u) * shape.k;" for i in rows),
        *(f"let at{j} = min(column + {off}, shape.n - 1u);" for j, off in quads),
        *(f"var sum{i}_{j} = vec4<f32>();" for i in rows for j, _ in quads),
        "for (var s = 0u; s < shape.k; s = s + 1u) {",
        *(f"    let a{i} = a[from{i} + s];" for i in rows),
    ]
    for step, part in enumerate("xyzw"):
        body += [f"    let b{step}_{j} = b[({QUAD}u * s + {step}u) * shape.n + at{j}];" for j, _ in quads]
        body += [
            f"    sum{i}_{j} = fma(vec4<f32>(a{i}.{part}), b{step}_{j}, sum{i}_{j});" for i in rows for j, _ in quads
        ]
    body += [
        "}",
        *(
            f"if (row + {i}u < shape.m && column + {off} < shape.n) "
            f"{{ product[(row + {i}u) * shape.n + column + {off}] = sum{i}_{j}; }}"
            for i in rows
            for j, off in quads
        ),
    ]
    return _HEAD.format(across=tile.across, down=tile.down) + "".join(f"    {line}\n" for line in body) + "}\n"


_HEAD: Final = """struct Shape {{ m: u32, n: u32, k: u32 }}
@group(0) @binding(0) var<storage, read> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> product: array<vec4<f32>>;

@compute @workgroup_size({across}, {down})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) thread: vec3<u32>) {{
"""


def _power(number: int) -> int:
    """The smallest power of two that is no smaller."""
    return 1 << (number - 1).bit_length()
