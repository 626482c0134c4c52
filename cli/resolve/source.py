"""How commands name networks: `[LABEL=]WHAT[+key=value...]`, WHAT of one of the `KINDS`.

A text is read in the first of these ways in which WHAT is known: as it stands, so that a file called `a=b.pt` is that
file; with settings behind it, where `+` is followed by a name and `=`; with a label before an `=`, the first that fits,
and then the same. So `spikformer-2-64+heads=8` has a setting, and `A+B=run.pt` a label. A setting `--time-first=4` is
an option on the layout of a user's own model, and holds for it alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.cli.options.layout import LayoutOptions
from saformer.cli.options.model import ModelOptions, NetworksOptions
from saformer.cli.resolve.foreign import foreign_model
from saformer.cli.resolve.nir import is_graph, nir_network
from saformer.errors import InputError
from saformer.files import open_file

if TYPE_CHECKING:
    from torch import nn

#: What is shown where no network is named.
DEFAULT_CHECKPOINT = "digits/saformer"
_FACTORY = re.compile(r"[^\s:/\\=+@]+:[A-Za-z_][\w.]*(@.+)?")
_SETTING = re.compile(r"\+(?=[A-Za-z_]\w*=|--[a-z-]+=)")
_LAYOUT = {"--time-first": "time_first", "--time-axis": "time_axis", "--loop": "loop", "--time-steps": "time_steps"}


@dataclass(frozen=True)
class Kind:
    """One way to name a network.

    Args:
        title: what messages call it.
        knows: whether a text names one; of files no more than the head is read.
        build: makes a network that is not of this program, from its options and a seed, with remarks on it; None where
            settings and weights are ours.
    """

    title: str
    knows: Callable[[str], bool]
    build: "Callable[[ModelOptions, int], tuple[nn.Module, list[str]]] | None" = None


def is_profile(path: str | Path) -> bool:
    """A JSON object, whatever it is called; checkpoints are binary."""
    try:
        with open_file(path) as file:
            return file.read(64).lstrip().startswith(b"{")
    except (InputError, OSError, ValueError):
        return False


def _is_checkpoint(what: str) -> bool:
    from saformer.checkpoints.shipped import SHIPPED

    try:
        return what in SHIPPED or Path(what).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_name(what: str) -> bool:
    from saformer.models.names import parse_name

    try:
        parse_name(what)
    except InputError:
        return False
    return "+" not in what


PROFILE = Kind("saved profile", is_profile)
CHECKPOINT = Kind("checkpoint", _is_checkpoint)
NAME = Kind("model name", _is_name)
FACTORY = Kind("package.module:factory", lambda what: _FACTORY.fullmatch(what) is not None, foreign_model)

NIR = Kind("NIR graph", is_graph, nir_network)

# Where this command keeps profiles that it has just measured.
_MEASURED_IN: ContextVar[Path | None] = ContextVar("measured_in", default=None)


@contextmanager
def measured_in(folder: Path) -> Iterator[None]:
    """In the block, saved profiles in the folder count as measured by the command that runs."""
    before = _MEASURED_IN.set(folder)
    try:
        yield
    finally:
        _MEASURED_IN.reset(before)


#: In the order in which a text is tried: files come first.
KINDS = [PROFILE, NIR, CHECKPOINT, FACTORY, NAME]


@dataclass(frozen=True)
class Source:
    """A network that the user named.

    Args:
        text: what was typed.
        kind: how it is named.
        what: without label and settings.
        options: of this network, `checkpoint` or `model` among them.
        label: what the user calls it.
        implied: nothing was named, and this is the default.
    """

    text: str
    kind: Kind
    what: str
    options: ModelOptions
    label: str | None = None
    implied: bool = False

    @property
    def foreign(self) -> bool:
        """It is a model of the user's own."""
        return self.kind.build is not None

    @property
    def saved(self) -> bool:
        """It is a profile: there is no network to run."""
        return self.kind is PROFILE

    @property
    def earlier(self) -> bool:
        """It is a profile of an earlier command: what it remarks was remarked then."""
        folder = _MEASURED_IN.get()
        return self.saved and (folder is None or folder not in Path(self.what).parents)

    @property
    def files(self) -> list[str]:
        """What is read to make it, where these may be files."""
        return [what for what in (self.what, self.options.checkpoint) if what is not None]

    @property
    def short(self) -> str:
        """The label, or else a file's own name, or what was typed."""
        return self.label or (Path(self.what).name if Path(self.what).is_file() else self.text)


@dataclass(frozen=True)
class _Read:
    """A text in its parts."""

    kind: Kind
    label: str | None
    what: str
    settings: tuple[str, ...] = ()


def _splits(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What may be WHAT and its settings, the longest WHAT first."""
    parts = [(match.start(), match.end()) for match in _SETTING.finditer(text)]
    yield text, ()
    for i in reversed(range(len(parts))):
        ends = [start for start, _ in parts[i + 1 :]] + [len(text)]
        yield text[: parts[i][0]], tuple(text[a:b] for (_, a), b in zip(parts[i:], ends, strict=True))


def _labels(text: str) -> Iterator[tuple[str | None, str]]:
    """What may be a label and the rest, no label first."""
    yield None, text
    for match in re.finditer("=", text):
        if label := text[: match.start()].strip():
            yield label, text[match.end() :].strip()


def _read(text: str, kinds: Sequence[Kind]) -> _Read | None:
    for label, rest in _labels(text):
        for what, settings in _splits(rest):
            for kind in kinds:
                if what and kind.knows(what):
                    return _Read(kind, label, what, settings)
    return None


def _unread(text: str) -> tuple[str | None, str, tuple[str, ...]]:
    """Label, WHAT and settings that were most likely meant, where WHAT is not known."""
    what, *settings = _SETTING.split(text)
    label, equals, rest = what.partition("=")
    return (label.strip(), rest.strip(), tuple(settings)) if equals and label.strip() else (None, what, tuple(settings))


def parse(text: str, options: LayoutOptions | None = None) -> Source:
    """The network that a text names.

    Args:
        text: `[LABEL=]WHAT[+key=value...]`.
        options: those of the command that hold for all its networks.

    Raises:
        InputError: it names none.
    """
    from saformer.checkpoints.shipped import SHIPPED
    from saformer.models.names import nearest_name
    from saformer.text import briefly, nearest

    found = _read(text, KINDS)
    if found is None:
        label, what, settings = _unread(text)
        if not what.strip():
            raise InputError(
                "an empty name: name a checkpoint file, a model, a saved profile or package.module:factory"
            )
        if not _there(what):
            close = nearest(what, SHIPPED) or nearest_name(what)
            raise InputError(
                f"{briefly(what)} is no file, no shipped checkpoint, no model name and no package.module:factory{close}"
                ": see `saformer models`"
            )
        found = _Read(CHECKPOINT, label, what, settings)  # which says what is wrong with a folder, or a pipe
    return _made(text, found, options)


def _there(what: str) -> bool:
    try:
        return Path(what).exists()
    except (OSError, ValueError):  # a name that nothing can have
        return False


def _made(text: str, found: _Read, options: LayoutOptions | None) -> Source:
    said = ModelOptions() if options is None else _for_one(options)
    checkpoint, model = said.checkpoint, said.model
    what = found.what
    if found.kind is CHECKPOINT:
        checkpoint = what
    elif found.kind is not PROFILE:
        model = what
    if found.kind is NIR and checkpoint == text:  # as --ckpt FILE
        checkpoint = None
    if found.kind is FACTORY:
        model, at, weights = what.partition("@")  # package.module:factory@weights.pt
        if at:
            if checkpoint is not None:
                raise InputError(f"{text} and --ckpt both name weights: leave out the one")
            checkpoint = weights
    if found.kind is PROFILE and found.settings:
        raise InputError(
            f"{what} is a saved profile, whose settings are those of its run: leave out +{found.settings[0]}"
        )
    settings = [setting for setting in found.settings if not setting.startswith("--")]
    layout = [setting for setting in found.settings if setting.startswith("--")]
    if found.kind.build is not None:
        said = replace(_laid_out(said, layout), arguments=[*(said.arguments or []), *settings] or None)
        said.check_steps()
    elif layout:
        raise InputError(f"+{layout[0]} goes with a model of your own, package.module:factory, and {what} is none")
    else:
        said = replace(said, settings=[*settings, *(said.settings or [])] or None)
    return Source(text, found.kind, what, replace(said, checkpoint=checkpoint, model=model), found.label)


def _laid_out(options: ModelOptions, own: Sequence[str]) -> ModelOptions:
    """The options with a layout of the network's own, which replaces the one that the command has for all."""
    from saformer.text import nearest

    if not own:
        return options
    said: dict[str, int | None] = dict.fromkeys(_LAYOUT.values())
    for setting in own:
        option, _, value = setting.partition("=")
        if option not in _LAYOUT:
            known = ", ".join(_LAYOUT)
            raise InputError(f"+{setting}: no option of one network alone{nearest(option, list(_LAYOUT))}: {known}")
        try:
            said[_LAYOUT[option]] = int(value)
        except ValueError:
            raise InputError(f"+{setting}: {option} takes a whole number, got {value!r}") from None
    return replace(options, **said)  # type: ignore[arg-type]


def _for_one(options: LayoutOptions) -> ModelOptions:
    """The options of the command as those of one of its networks."""
    if isinstance(options, ModelOptions):
        return options
    shared = {name: getattr(options, name) for name in LayoutOptions.__dataclass_fields__}
    return ModelOptions(**shared)


def source_of(options: ModelOptions, profile: Path | None = None) -> Source:
    """The one network of a command: as an argument, by --ckpt, --model or --from-profile; else the shipped SAFormer.

    Raises:
        InputError: it is named twice, or the name is none.
    """
    for option, value in (("--ckpt", options.checkpoint), ("--model", options.model), ("--label", options.label)):
        if value is not None and not value.strip():
            raise InputError(f"{option} is empty: name a checkpoint file or a model, or leave the option out")
    if profile is not None:
        if also := [name for name in (options.network, options.checkpoint, options.model) if name is not None]:
            raise InputError(f"--from-profile answers from the file alone, nothing is run: leave out {also[0]}")
        found = _made(str(profile), _Read(PROFILE, None, str(profile)), options)
    elif options.network is not None:
        if options.model is not None:
            raise InputError(f"{options.network} and --model both name a network: leave out the one")
        plain = replace(options, network=None)
        found = parse(options.network, plain)
        if options.checkpoint is not None and not found.foreign:
            raise InputError(f"{options.network} and --ckpt both name a network: leave out the one")
    elif options.model is not None:
        found = _named(options.model, options)
        if options.checkpoint is not None and not found.foreign:
            raise InputError("give either --ckpt or --model, not both: a checkpoint shows its own architecture")
    elif options.checkpoint is not None:
        found = _checkpoint(options.checkpoint, options)
    else:
        found = replace(_made(DEFAULT_CHECKPOINT, _Read(CHECKPOINT, None, DEFAULT_CHECKPOINT), options), implied=True)
    if options.label is not None:
        if found.label is not None:
            raise InputError(f"{found.text} has a label, and so says --label: leave out the one")
        found = replace(found, label=options.label.strip())
    return found


def _checkpoint(text: str, options: LayoutOptions) -> Source:
    """What --ckpt names; that there is no such file, its reader says."""
    found = _read(text, [NIR, CHECKPOINT])
    if found is None:
        what, *settings = _SETTING.split(text)
        found = _Read(CHECKPOINT, None, what, tuple(settings))
    return _made(text, found, options)


def _named(text: str, options: LayoutOptions) -> Source:
    """What --model names; what is wrong with a name, the table of models says."""
    found = _read(text, [kind for kind in KINDS if kind not in (PROFILE, CHECKPOINT)])
    if found is None:
        label, what, settings = _unread(text)
        found = _Read(FACTORY if ":" in what else NAME, label, what, settings)
    return _made(text, found, options)


def sources_of(options: NetworksOptions, default: Sequence[str] = ()) -> list[Source]:
    """The networks of a command that takes several, in the order: arguments, --ckpt, --model, --from-profile.

    Args:
        options: what was given.
        default: what is taken where nothing was.

    Raises:
        InputError: a name is none, or one stands there twice.
    """
    found = [parse(text, options) for text in options.networks or []]
    found += [_checkpoint(text, options) for text in options.checkpoints or []]
    found += [_named(text, options) for text in options.models or []]
    found += [_made(text, _Read(PROFILE, None, text), options) for text in options.profiles or []]
    if not found:
        found = [replace(parse(text, options), implied=True) for text in default]
    return found


def names_of(sources: Sequence[Source]) -> list[str]:
    """What tables call each, all different: its label, or its short name, or all that was typed where two are alike.

    Raises:
        InputError: two have one label.
    """
    labels = [source.label for source in sources if source.label is not None]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"two networks are called {twice[0]!r}: give each a label of its own")
    short = [source.short for source in sources]
    return [s.text if s.label is None and short.count(n) > 1 else n for s, n in zip(sources, short, strict=True)]


def files_of(sources: Sequence[Source]) -> list[str]:
    """What is read to make them, where these may be files."""
    return [file for source in sources for file in source.files]


def ours_of(ours: Sequence[str] | None, sources: Sequence[Source], names: Sequence[str]) -> list[str]:
    """What tables call the networks that --ours names: by that name, or as they were given."""
    from saformer.text import nearest

    given = {way: name for source, name in zip(sources, names, strict=True) for way in (source.text, source.what, name)}
    if missing := [name for name in ours or [] if name not in given]:
        close = nearest(missing[0], names)
        raise InputError(f"--ours {missing[0]!r} is none of the models compared{close}: {', '.join(names)}")
    return [given[name] for name in ours or []]
