"""What `saformer figures` makes, read from a TOML file: networks and data once, and a list of outputs.

    [data]                        options of data and runs, by their long names
    dataset = "cifar10"

    [networks.ours]               a network: source, label, and options on how it takes its input
    source = "run/best.safetensors"

    [[output]]                    a file, the command that makes it, and its options
    file = "tables/comparison.tex"
    command = "compare"

Paths start from the folder of the file. A network is run once: commands that answer from a profile are given the
saved profile of that run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import typer

from saformer.cli.options.config import OF_FIGURES, ConfigFile, defaults
from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import AS_FIGURE
from saformer.cli.options.run import PreciseRunOptions
from saformer.errors import InputError
from saformer.reports.document.blocks import Format
from saformer.text import briefly, nearest

#: Commands that take saved profiles for networks.
FROM_PROFILES = ("energy", "compare", "sensitivity", "audit")
#: How a table is written, by the suffix of its file.
TABLES = {
    ".tex": Format.latex,
    ".md": Format.markdown,
    ".csv": Format.csv,
    ".json": Format.json,
    ".txt": Format.rich,
}
_OWN = ("file", "command", "networks", "name", "draw")
_OF_NETWORK = ("source", "label")


@dataclass(frozen=True)
class PaperNetwork:
    """A network of the file: its name there, what it is, what tables call it (its name, where it has no label), options
    by the names of parameters, and file and line.
    """

    name: str
    source: str
    label: str
    options: Mapping[str, Any]
    where: str

    @property
    def text(self) -> str:
        """The network as it stands on a command line."""
        return f"{self.label}={self.source}"


@dataclass(frozen=True)
class Output:
    """A file to make.

    Args:
        name: by which `--only` chooses it.
        file: to write.
        command: that makes it.
        networks: it is about.
        options: of the command, by the names of its parameters.
        where: file and line of its entry.
    """

    name: str
    file: Path
    command: str
    networks: tuple[PaperNetwork, ...]
    options: Mapping[str, Any]
    where: str

    @property
    def ways(self) -> set[str]:
        """How `--only` may call it: by its name, its file, or the end of that."""
        return {self.name, str(self.file), self.file.name}

    @property
    def measured(self) -> bool:
        """It is made from profiles."""
        return bool(self.networks) and self.command in FROM_PROFILES

    @property
    def format(self) -> Format | None:
        """Of a table; None for a picture."""
        return TABLES.get(self.file.suffix.lower())


@dataclass(frozen=True)
class Paper:
    """All that a file asks for: outputs, and options of data and runs by the names of parameters."""

    outputs: tuple[Output, ...]
    data: Mapping[str, Any]

    def chosen(self, names: Sequence[str]) -> "Paper":
        """The outputs of these names alone.

        Raises:
            InputError: there is none of a name.
        """
        known = [way for output in self.outputs for way in output.ways]
        if missing := [name for name in names if name not in known]:
            raise InputError(f"--only {missing[0]}: no output is called so{nearest(missing[0], known)}")
        chosen = tuple(output for output in self.outputs if output.ways & set(names))
        return replace(self, outputs=chosen) if names else self


class _Reader:
    """Reads the tables of a file; what is wrong is said with its line."""

    def __init__(self, file: ConfigFile, context: typer.Context) -> None:
        self.file, self.context = file, context
        parent: Any = context.parent
        self.group, self.parent = parent.command, parent

    def paper(self) -> Paper:
        """All of the file."""
        for table in self.file.data:
            if table not in (*OF_FIGURES, *self.group.list_commands(self.parent)):
                known = (*OF_FIGURES, *self.group.list_commands(self.parent))
                raise InputError(f"{self.file.where(table)}: {briefly(table)} is no table here{nearest(table, known)}")
        entries = self.file.data.get("output")
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{self.file.path} makes nothing: give entries [[output]] with a file and a command")
        networks = self._networks()
        outputs = [self._output(i, entry, networks) for i, entry in enumerate(entries)]
        for what in ("name", "file"):
            values = [getattr(output, what) for output in outputs]
            for i, value in enumerate(values):
                if value in values[:i]:
                    raise InputError(f"{outputs[i].where}: another output has the {what} {briefly(str(value))}")
        return Paper(tuple(outputs), self._data())

    def command(self, name: str) -> Any:
        """A command of the program."""
        return self.group.get_command(self.parent, name)

    def values(
        self, command: str, keys: tuple[str | int, ...], given: Mapping[str, Any], names: set[str] | None
    ) -> Any:
        """Options of a command by the names of its parameters, of which `names` are taken, or all."""
        found = self.command(command)
        with found.make_context(command, [], parent=self.parent, resilient_parsing=True) as call:
            taken = [p for p in found.params if names is None or p.name in names]
            return defaults(self.file, keys, given, taken, call)

    def _data(self) -> Mapping[str, Any]:
        given = self.file.data.get("data", {})
        self._table("data", given)
        names = {field.name for group in (DataOptions, PreciseRunOptions) for field in fields(group)}
        return self.values("energy", ("data",), given, names)

    def _table(self, *keys: str | int) -> None:
        *path, content = keys
        if not isinstance(content, dict):
            raise InputError(f"{self.file.where(*path)}: this is a table, [{'.'.join(map(str, path))}]")

    def _networks(self) -> dict[str, PaperNetwork]:
        tables = self.file.data.get("networks", {})
        self._table("networks", tables)
        names = {field.name for field in fields(ModelOptions)} - {"network", "checkpoint", "model", "label"}
        found = {}
        for name, given in tables.items():
            self._table("networks", name, given)
            keys = ("networks", name)
            for key in _OF_NETWORK:
                if not isinstance(given.get(key, ""), str) or (key == "source" and not given.get(key, "").strip()):
                    raise InputError(f"{self.file.where(*keys, key)}: a network has a {key}, which is text")
            options = {key: value for key, value in given.items() if key not in _OF_NETWORK}
            taken = self.values("energy", keys, options, names)
            where, label = self.file.where(*keys, "source"), given.get("label", name).strip()
            if not label or "=" in label:
                raise InputError(f"{self.file.where(*keys, 'label')}: a label is text without =, got {briefly(label)}")
            found[name] = PaperNetwork(name, given["source"], label, taken, where)
        return found

    def _output(self, number: int, entry: Mapping[str, Any], networks: Mapping[str, PaperNetwork]) -> Output:
        keys: tuple[str | int, ...] = ("output", number)
        for key in ("file", "command"):
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise InputError(f"{self.file.where(*keys)}: an output has a {key}, which is text")
        file, command = Path(entry["file"]), entry["command"]
        commands = [name for name in self.group.list_commands(self.parent) if name != "figures"]
        if command not in commands:
            close = nearest(command, commands)
            raise InputError(f"{self.file.where(*keys, 'command')}: {briefly(command)} is no command{close}")
        shared = self.file.data.get(command, {})
        self._table(command, shared)
        own = {key: value for key, value in entry.items() if key not in _OWN}
        options = {
            **self.values(
                command, (command,), {k: v for k, v in shared.items() if k not in ("network", "networks")}, None
            ),
            **self.values(command, keys, own, None),
        }
        chosen = self._chosen(keys, entry, command, networks)
        options |= self._written(keys, entry, command, file)
        name = entry.get("name", entry["file"])
        return Output(str(name), file, command, chosen, options, self.file.where(*keys))

    def _chosen(
        self, keys: tuple[str | int, ...], entry: Mapping[str, Any], command: str, networks: Mapping[str, PaperNetwork]
    ) -> tuple[PaperNetwork, ...]:
        """The networks that an output is about: those that it names, or all."""
        parameters = {p.name for p in self.command(command).params}
        one, several = "network" in parameters, "networks" in parameters
        where = self.file.where(*keys, "networks")
        if not one and not several:
            if "networks" in entry:
                raise InputError(f"{where}: {command} takes no networks")
            return ()
        given = entry.get("networks", list(networks))
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{where}: networks are a list of names")
        for name in names:
            if name not in networks:
                there = nearest(name, networks) or (f": there are {', '.join(networks)}" if networks else "")
                raise InputError(f"{where}: {briefly(name)} is no table [networks.{name}]{there}")
        if not several and len(names) > 1:
            raise InputError(f'{where}: {command} takes one network: networks = ["{names[0]}"]')
        return tuple(networks[name] for name in names)

    def _written(
        self, keys: tuple[str | int, ...], entry: Mapping[str, Any], command: str, file: Path
    ) -> dict[str, Any]:
        """The option that makes the command write such a file."""
        from saformer.reports.figures.saving import FORMATS as PICTURES
        from saformer.reports.figures.saving import check_format

        parameters = {p.name: p for p in self.command(command).params}
        suffix = file.suffix.lower()
        figures = {n: p for n, p in parameters.items() if AS_FIGURE in (getattr(p, "help", None) or "")}
        where = self.file.where(*keys, "file")
        if suffix.removeprefix(".") in PICTURES:
            try:
                check_format(file)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            draw = entry.get("draw", "plot")
            if draw not in figures:
                there = f": draw is one of {', '.join(figures)}" if figures else ""
                raise InputError(f"{where}: {command} draws no such figure{there}")
            return {str(draw): str(file)}
        if suffix not in TABLES:
            known = ", ".join([*TABLES, *(f".{picture}" for picture in PICTURES)])
            raise InputError(f"{where}: the name of the file ends in one of {known}")
        if "format" not in parameters:
            raise InputError(f"{where}: {command} makes no table")
        return {"format": str(TABLES[suffix])}


def read_paper(file: ConfigFile, context: typer.Context) -> Paper:
    """All that the file asks for, checked.

    Args:
        file: the file.
        context: of the command that reads it, whose group knows the other commands.

    Raises:
        InputError: a table, key or value is wrong; with its line.
    """
    return _Reader(file, context).paper()
