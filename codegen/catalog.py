"""All kernels of one program: equal ones are made once, each under a symbol of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from codegen.assembly import Assembly
from codegen.choice import Choice
from codegen.emit import emit_kernel
from codegen.loops import Kernel, format_kernel
from codegen.lower import Lowered
from codegen.scan import Driver, emit_driver, format_driver
from codegen.target import Target

MODULE_KERNELS = 8  # kernels compiled together: enough to share the fixed cost, few enough to spread over threads
_DEFINED = re.compile(r"^define [^@]*@([\w.]+)\(", re.M)
_DECLARED = re.compile(r"^declare [^@]*@([\w.]+)\(")


@dataclass
class Catalog:
    """Kernels by symbol, their LLVM text, and what was lowered by a key that says what it computes."""

    target: Target
    choices: Mapping[str, Choice] = field(default_factory=dict)
    kernels: dict[str, Kernel | Driver] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    _symbols: dict[str, str] = field(default_factory=dict)
    _lowered: dict[object, Lowered] = field(default_factory=dict)

    def lowered(self, key: object, make: Callable[[], Lowered]) -> Lowered:
        """What was made for an equal key before, else what `make` gives, its kernels shared."""
        if key not in self._lowered:
            self._lowered[key] = self.share(make())
        return self._lowered[key]

    def share(self, lowered: Lowered) -> Lowered:
        """The kernels under symbols of their own, or under those of equal code emitted before."""
        kernels = []
        for kernel in lowered.kernels:
            text = self._text(replace(kernel, name="kernel"))
            symbol = self._symbols.get(text)
            if symbol is None:
                symbol = self._symbols[text] = self._fresh(kernel.name)
                self.kernels[symbol] = replace(kernel, name=symbol)
                self.texts[symbol] = re.sub(r"@kernel(?=\(|\.slots)", f"@{symbol}", text)
            kernels.append(replace(kernel, name=symbol))
        return replace(lowered, kernels=tuple(kernels))

    def _text(self, kernel: Kernel | Driver) -> str:
        asm = Assembly()
        if isinstance(kernel, Driver):
            emit_driver(asm, kernel)
        else:
            emit_kernel(asm, kernel, self.target)
        return asm.text()

    def _fresh(self, name: str) -> str:
        number = 0
        while (symbol := f"{name}.{number}" if number else name) in self.kernels:
            number += 1
        return symbol

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory that suffices for every kernel."""
        return max((kernel.scratch_bytes for kernel in self.kernels.values()), default=0)

    def modules(self) -> list[str]:
        """The kernels' texts, several to a module."""
        symbols = list(self.texts)
        return [
            joined([self.texts[s] for s in symbols[i : i + MODULE_KERNELS]])
            for i in range(0, len(symbols), MODULE_KERNELS)
        ]


def format_any(kernel: Kernel | Driver) -> str:
    """A kernel or driver as text, for dumps."""
    return format_driver(kernel) if isinstance(kernel, Driver) else format_kernel(kernel)


def joined(texts: Sequence[str]) -> str:
    """Texts of functions as one module: each declaration once, none of what is defined."""
    lines: list[str] = []
    declarations: dict[str, None] = {}
    for text in texts:
        for line in text.split("\n"):
            if line.startswith("declare "):
                declarations[line] = None
            else:
                lines.append(line)
    defined = {name for text in texts for name in _DEFINED.findall(text)}
    external = [line for line in declarations if (name := _DECLARED.match(line)) is None or name[1] not in defined]
    return "\n".join([*lines, *external, ""])
