"""C's copies of tables in Python: polynomials, and enums of distributions and dtypes."""

import numpy as np

from paramgen.catalog.distributions import ELEMENTWISE
from paramgen.catalog.distributions.computed import IntervalDistribution
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import c_name
from paramgen.sampling.reference import elementary, normal

POLYNOMIALS = {**normal.POLYNOMIALS, **elementary.POLYNOMIALS}


def render_polynomials() -> str:
    """Return the polynomials in C, whole and in halves, with as many digits as their type needs."""
    source = "tools/generate.py from normal.py and elementary.py, not by hand"
    parts = [f"/* Made by {source}: Horner's rule, a multiply then an add. */\n"]
    for name, coefficients in POLYNOMIALS.items():
        single = coefficients[0].dtype == np.float32
        ctype, suffix = ("float", "f") if single else ("double", "")
        first, *rest = (f"{coefficient:.{8 if single else 16}e}{suffix}" for coefficient in coefficients)
        steps = [f"    p = p * v + {coefficient};\n" for coefficient in rest]
        half = len(coefficients) // 2 - 1
        begin, end = "".join(steps[:half]), "".join(steps[half:])
        parts.append(f"PG {ctype} pg_{name}_begin({ctype} v)\n{{\n    {ctype} p = {first};\n{begin}    return p;\n}}\n")
        parts.append(f"PG {ctype} pg_{name}_end({ctype} v, {ctype} p)\n{{\n{end}    return p;\n}}\n")
        parts.append(f"PG {ctype} pg_{name}({ctype} v) {{ return pg_{name}_end(v, pg_{name}_begin(v)); }}\n")
    constants = [f"#define PG_{name.upper()} {value!r}\n" for name, value in elementary.CONSTANTS.items()]
    return "\n".join([parts[0], "".join(constants), *parts[1:]])


def render_enums() -> str:
    """Return the enums of distributions, of their numbers and of dtypes in C, and the groups of both."""
    fields = {field: number for model in ELEMENTWISE for number, field in enumerate(model.kernel_fields)}
    most = max(len(model.kernel_fields) for model in ELEMENTWISE)
    numbers = [*(f"PG_{field.upper()} = {number}" for field, number in fields.items()), f"PG_NUMBERS = {most}"]
    c_dtypes = {f"PG_{name.upper()}": dtype for name, dtype in DTYPES.items()}
    narrow = [
        f"X({name}, uint{dtype.bits}_t, pg_{dtype.name})"
        for name, dtype in c_dtypes.items()
        if dtype.bits < 32 and not dtype.is_integer
    ]
    lines = [
        "/* Made by tools/generate.py from the tables of distributions and dtypes, not by hand. */",
        f"typedef enum {{ {', '.join(map(c_name, ELEMENTWISE))} }} pg_distribution_t;",
        f"enum {{ {', '.join(numbers)} }};",
        f"enum {{ {', '.join(c_dtypes)} }};",
        f"#define PG_ITEMSIZES {', '.join(str(dtype.bits // 8) for dtype in c_dtypes.values())}",
        "/* The dtypes that round float32 values, each with its C type and its rounding function. */",
        f"#define PG_NARROW_DTYPES(X) {' '.join(narrow)}",
    ]
    groups = {
        "PG_IS_DISCRETE": [c_name(model) for model in ELEMENTWISE if model.is_discrete],
        "PG_USES_INTERVAL": [c_name(model) for model in ELEMENTWISE if issubclass(model, IntervalDistribution)],
        "PG_IS_INTEGER": [name for name, dtype in c_dtypes.items() if dtype.is_integer],
        "PG_IS_WIDE": [name for name, dtype in c_dtypes.items() if dtype.bits == 64],
    }
    for name, members in groups.items():
        lines.append(f"#define {name}(x) ({' || '.join(f'(x) == {member}' for member in members)})")
    return "\n".join(lines) + "\n"


def render_coefficients() -> str:
    """Return the coefficients for docs/stream.md, as the shortest decimals that round to them."""
    lists = []
    for name, coefficients in POLYNOMIALS.items():
        numbers = "\n".join(f"    {coefficient!s}" for coefficient in coefficients)
        lists.append(f"{name.upper()} ({coefficients[0].dtype})\n{numbers}\n")
    return "```text\n" + "\n".join(lists) + "```\n"
