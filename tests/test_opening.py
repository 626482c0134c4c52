"""What a user hands over is opened in one place, which takes no pipes, devices or files without end."""

import ast

from tests.test_arrows import MODULES

# Calls that open a file by its name, by the last parts of what is called.
OPENING = {
    "open",
    "FileIO",
    "read_text",
    "read_bytes",
    "fromfile",
    "memmap",
    "loadtxt",
    "genfromtxt",
    "safe_open",
    "load_file",
    "np.load",
    "numpy.load",
    "torch.load",
    "zipfile.ZipFile",
    "tarfile.TarFile",
    "h5py.File",
    "nir.read",
}
# Modules that open by themselves, with what they call, and why they may.
ALLOWED = {
    # the one place
    "saformer.files": {"os.open", "read_bytes"},
    # a library that takes names alone, after check_file
    "saformer.checkpoints": {"safe_open"},
    "saformer.checkpoints.reading": {"torch.load", "safe_open", "zipfile.ZipFile"},
    "saformer.nir.reading": {"nir.read", "h5py.File"},
    "saformer.data.frame_cache": {"np.load", "open"},  # and a file that it writes itself
    # an archive in a file that was opened in the one place
    "saformer.data.npz": {"zipfile.ZipFile", "open"},
    "saformer.data.image_files": {"Image.open"},
    "saformer.data.pictures": {"Image.open"},
    # files of ours
    "saformer.checkpoints.writing": {"open"},
    "saformer.locks": {"os.open"},
    "saformer.cli": {"os.open", "open"},
    # files of the package
    "saformer.data.digits": {"np.load"},
    "saformer.native.compiling": {"read_bytes"},
    "saformer.training.recipe": {"read_text"},
    "saformer.analysis.accounting.hardware": {"read_text"},
    "saformer.analysis.accounting.memory_access": {"read_text"},
    "saformer.reports.writers.html.page": {"read_text"},
    "saformer.reports.results.literature": {"read_text", "open"},
    # files of the system
    "saformer.analysis.complexity.peak_memory": {"read_text"},
}


def opened(source: str) -> set[str]:
    """Calls in a module that open a file by its name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if isinstance(node.func, ast.Attribute):
            short, long = node.func.attr, called
            if short in OPENING or long in OPENING:
                found.add(long if long in OPENING or long in ("os.open", "Image.open") else short)
        elif called in OPENING:
            found.add(called)
    # Functions of saformer.files have the names of those of pathlib.
    return found - ours(source)


def ours(source: str) -> set[str]:
    """Functions that a module has from saformer.files, and does not call on an object as well."""
    tree = ast.parse(source)
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "saformer.files"
        for alias in node.names
    }
    methods = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return names - methods


def test_files_of_users_are_opened_in_one_place() -> None:
    """Elsewhere: saformer.files.open_file, read_bytes or read_text; check_file before a library that takes a name."""
    found = {name: opened(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    assert {name: calls for name, calls in found.items() if calls} == ALLOWED
