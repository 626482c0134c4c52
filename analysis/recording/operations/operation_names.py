"""Names of synaptic operations: the path of the layer, or the module that runs and what it is."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from saformer.analysis.profiles import SPIKES_OF
from saformer.analysis.profiles.records import RESULT_OF
from saformer.analysis.recording.module_paths import ModulePaths
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.origins.constants import Constants
from saformer.analysis.recording.origins.sources import Source
from saformer.naming import current_name


class OperationNames:
    """Gives each operation a name, the same at every step, and different kinds of calls different ones."""

    def __init__(self, paths: ModulePaths, constants: Constants) -> None:
        self._paths, self._constants = paths, constants
        self._kinds: defaultdict[str, dict[Any, str]] = defaultdict(dict)  # name -> kind of call -> name of its own
        self._merging = 0

    @contextmanager
    def merging(self) -> Iterator[None]:
        """Calls inside are steps of one sequence: the same weights under one name."""
        self._merging += 1
        try:
            yield
        finally:
            self._merging -= 1

    def name(self, call: Call) -> tuple[str, bool]:
        """Path of the module whose weight it is, or the module it runs in plus what it is; whether it is a module."""
        paths, constants = self._paths, self._constants
        frame = paths.current
        if call.weight is not None:
            name = constants.name_in(frame.module, frame.path, call.weight)
            if name == "weight" and frame.path:
                return frame.path, True
            if name is not None:
                return f"{frame.path}.{name}".lstrip("."), False
            owners = {owner.path for owner in constants.owners(call.weight) if owner.name == "weight"}
            if len(owners) == 1 and (path := owners.pop()):
                return path, False  # a layer's weight, used by a function
        what = current_name()
        if what is None:
            frame.used[call.op] += 1
            again = frame.used[call.op] > 1 and not self._merging
            what = f"{call.op}_{frame.used[call.op]}" if again else call.op
        name = f"{frame.path}.{what}".lstrip(".")
        if name in paths.names:  # somebody's nn.Linear that is called `linear`
            name = f"{frame.path}.functional_{what}".lstrip(".")
        return name, False

    def own_name(self, name: str, call: Call, sources: tuple[Source | None, ...], raw: bool) -> str:
        """`name`; for calls of another kind under the same name, such as the second product of a module that
        multiplies anything, or a layer that reads the image first and spikes later, `name:2` and so on.
        """
        # T steps of one product have the same origins. Of a layer, what is drawn or learned is no state at rest.
        given = not any(sources) and bool(call.operands[0].any())
        what = map(_origin, sources) if call.weight is None else (raw, call.weight.shape, given)
        kind = (call.op, *what)
        kinds = self._kinds[name]
        return kinds.setdefault(kind, f"{name}:{len(kinds) + 1}" if kinds else name)


def _origin(source: Source | None) -> str:
    """Module or layer that an operand comes from: the same at every step, whatever the first step does otherwise."""
    if source is None:
        return "a constant"
    return source.maker or (source.name if source.name.startswith((RESULT_OF, SPIKES_OF)) else "")
