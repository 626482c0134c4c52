"""`saformer figures`: a set of tables and figures from one file."""

import contextlib
import io
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from saformer.cli.commands import command
from saformer.cli.options.config import read_config
from saformer.cli.resolve.paper import Output, Paper, PaperNetwork, read_paper
from saformer.cli.resolve.source import measured_in, parse
from saformer.cli.terminal.console import hearing, tell
from saformer.errors import InputError
from saformer.files import check_distinct, check_target, made_folder, write_text_atomic
from saformer.locks import scratch_folder


@command("figures")
def figures(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to make, of which networks, on which data.")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Make this output alone; repeat it."),
    ] = None,
) -> None:
    """Make the tables and figures of a paper from one file; each network is run once.

    saformer figures paper.toml
    """
    paper = read_paper(read_config(file), context).chosen(only or [])
    with contextlib.chdir(file.resolve().parent):
        targets = [output.file for output in paper.outputs]
        check_distinct(targets, [file.resolve(), *(n.source for o in paper.outputs for n in o.networks)])
        for network in {n.name: n for o in paper.outputs for n in o.networks}.values():
            with said_of(network.where):
                parse(network.text)
        with contextlib.ExitStack() as folders:
            for target in targets:
                folders.enter_context(made_folder(target.parent))
                check_target(target)
            folder = folders.enter_context(scratch_folder())
            with measured_in(folder):
                _Maker(context, paper, folder).make()


@contextlib.contextmanager
def said_of(where: str) -> Iterator[None]:
    """What is refused inside is said of a line of the file."""
    try:
        yield
    except (InputError, typer.BadParameter) as error:
        words = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
        raise InputError(f"{where}: {words}") from None


class _Maker:
    """Runs the commands, with the time left."""

    def __init__(self, context: typer.Context, paper: Paper, folder: Path) -> None:
        self._parent: Any = context.parent
        self._paper, self._folder = paper, folder
        self._profiles: dict[str, Path] = {}
        measured = {network.name: network for o in paper.outputs if o.measured for network in o.networks}
        self._measured = list(measured.values())
        self._layouts = {output.name: self._layout(output) for output in paper.outputs if not output.measured}
        self._total, self._done, self._begun = len(measured) + len(paper.outputs), 0, time.monotonic()

    def make(self) -> None:
        """Run each network, then write each output."""
        for network in self._measured:
            self._profiles[network.name] = self._measure(network)
            self._step(f"ran {network.label}")
        for output in self._paper.outputs:
            self._write(output)
            self._step(f"wrote {output.file}")

    def _step(self, what: str) -> None:
        self._done += 1
        left = (time.monotonic() - self._begun) / self._done * (self._total - self._done)
        tell(f"{what} ({self._done} of {self._total}{f', about {left:.0f} s left' if left >= 1 else ''})")

    def _measure(self, network: PaperNetwork) -> Path:
        """The saved profile of a run of the network."""
        to = self._folder / f"{len(self._profiles)}.json"
        graded = {"graded": "unroll"} if any(self._unrolls(o, network) for o in self._paper.outputs) else {}
        values = {**self._paper.data, **network.options, **graded, "network": network.text, "save_profile": str(to)}
        self._call("energy", values, network.where)
        return to

    @staticmethod
    def _unrolls(output: Output, network: PaperNetwork) -> bool:
        return network in output.networks and output.options.get("graded") == "unroll"

    def _names(self, output: Output) -> set[str]:
        """The parameters of its command."""
        return {p.name for p in self._parent.command.get_command(self._parent, output.command).params}

    def _write(self, output: Output) -> None:
        names = self._names(output)
        if output.measured:
            texts = [self._profile(network) for network in output.networks]
            values = dict(output.options)
        else:
            texts = [network.text for network in output.networks]
            values = {key: value for key, value in self._paper.data.items() if key in names}
            values |= {**self._layouts[output.name], **output.options}
        if texts:
            values |= {"networks": texts} if "networks" in names else {"network": texts[0]}
        printed = self._call(output.command, values, output.where)
        if output.format is not None:
            write_text_atomic(output.file, printed)

    def _profile(self, network: PaperNetwork) -> str:
        """The saved profile as a network, called as the network is."""
        return f"{network.label}={self._profiles[network.name]}"

    def _layout(self, output: Output) -> dict[str, Any]:
        """How the networks take their input: the same for all that a command runs."""
        names, found = self._names(output), dict[str, Any]()
        for network in output.networks:
            for key, value in network.options.items():
                flag = key.replace("_", "-")
                if key not in names:
                    raise InputError(
                        f"{output.where}: {output.command} has no option {flag} of [networks.{network.name}]: write it "
                        "behind the source, +key=value"
                    )
                if found.setdefault(key, value) != value:
                    raise InputError(f"{output.where}: {output.command} takes one {flag} for all its networks")
        return found

    def _call(self, name: str, values: Mapping[str, Any], where: str) -> str:
        """Run a command as if it stood on a command line; what it prints."""
        found = self._parent.command.get_command(self._parent, name)
        printed = io.StringIO()
        with (
            said_of(where),
            hearing() as heard,
            contextlib.redirect_stdout(printed),
            found.make_context(name, [], parent=self._parent, default_map=dict(values)) as call,
        ):
            found.invoke(call)
        for message in heard:
            if not message.startswith("wrote "):  # which is said here, with what is left to do
                tell(message)
        return printed.getvalue()
