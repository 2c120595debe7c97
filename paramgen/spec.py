"""Specs as Python users hold them: read, checked and planned."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paramgen.arithmetic import default_mode
from paramgen.formatting import pluralize
from paramgen.language.model import ParsedSpec, interpret, read_document
from paramgen.planning.plan import Plan, make_plan


@dataclass(frozen=True, repr=False, eq=False)
class Spec:
    """A checked spec and its plan, made by `load_spec`."""

    parsed: ParsedSpec
    plan: Plan

    def __repr__(self) -> str:
        return f"<Spec {self.name!r}: {pluralize(self.parsed.count, 'operation')} or groups, seed {self.seed}>"

    @property
    def name(self) -> str:
        return self.parsed.head.name

    @property
    def seed(self) -> int:
        return self.parsed.head.seed

    @property
    def dtype(self) -> str:
        return self.parsed.head.dtype

    @property
    def layout(self) -> str:
        return self.parsed.head.layout

    @property
    def source(self) -> dict[str, Any]:
        """The spec as it was written, with the command line's values."""
        return self.parsed.source


@default_mode()
def load(
    source: str | os.PathLike[str] | Mapping[str, Any], *, variables: Mapping[str, Any] | None = None, **replaced: Any
) -> Spec:
    """Read, check and plan a spec. `replaced` (seed, dtype, layout) replace its own, where they are not None."""
    parsed = interpret(*read_document(source), variables=variables, **replaced)
    return Spec(parsed, make_plan(parsed))
