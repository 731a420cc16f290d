"""The one door for compiled and foreign runtimes: a faster body behind `models.interfaces`.

A table that imports nothing: name -> module with `start(model, runtime) -> Promptable`.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from segma.errors import ModelError

if TYPE_CHECKING:
    from segma.models.interfaces import Promptable
    from segma.runtime import Runtime

ENGINES = MappingProxyType(
    {
        "eager": "segma.engines.eager",
        "compile": "segma.engines.compiled",
    }
)


def start(model: Promptable, runtime: Runtime) -> Promptable:
    """The model with the body that `runtime.engine` names. Raises ModelError `model.device`."""
    if runtime.engine not in ENGINES:
        raise ModelError("model.device", f'No engine "{runtime.engine}".', f"Engines: {', '.join(ENGINES)}.")
    module: Any = import_module(ENGINES[runtime.engine])  # a row of the table, see above
    return module.start(model, runtime)
