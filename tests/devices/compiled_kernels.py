"""Run by test_kernels.py: compiles the kernels of the LIF for GPUs that need not be there.

Prints, as JSON, for each kernel what of it goes through memory, read off the machine code that `ptxas` makes.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from saformer.neurons import triton as kernels

BLOCK, WARPS = kernels.NEURONS_PER_PROGRAM, 4
SIZES = {"fp32": 4, "bf16": 2, "fp64": 8}


def compiled(kernel: Any, capability: int, dtype: str, steps: int) -> dict[str, Any]:
    """What of the kernel goes through memory on a GPU of this compute capability."""
    wide = kernels.tl.float64 if dtype == "fp64" else kernels.tl.float32
    constants = {"T": steps, "TAU": 2.0, "THRESHOLD": 1.0, "RESET": 0.0, "ALPHA": 4.0, "EXACT": True}
    constants |= {"WIDE": wide, "BLOCK": BLOCK}
    tensors = [name for name in kernel.arg_names if name not in constants and name != "N"]
    types = dict.fromkeys(kernel.arg_names, "constexpr") | dict.fromkeys(tensors, f"*{dtype}") | {"N": "i32"}
    place = {name: (index,) for index, name in enumerate(kernel.arg_names)}
    source = ASTSource(
        kernel,
        types,
        {place[name]: value for name, value in constants.items() if name in place},
        # As at run time, where memory is aligned and the number of neurons a multiple of 16.
        {place[name]: [["tt.divisibility", 16]] for name in [*tensors, "N"]},
    )
    text = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": WARPS}).asm["ptx"]
    moved = sum(
        int(vector or 1) * int(bits) // 8
        for vector, bits in re.findall(r"(?:ld|st)\.global[.\w:]*?(?:\.v(\d))?\.[bfsu](\d+)", text)
    )
    return {
        "name": kernel.__name__,
        "capability": capability,
        "type": dtype,
        "bytes per number": SIZES[dtype],
        "bytes per neuron and step": moved * WARPS * 32 / BLOCK / steps,
        "bytes spilled": spilled(text, capability),
    }


def spilled(text: str, capability: int) -> int:
    """Bytes of registers that do not fit, as the assembler reports."""
    architecture = f"sm_{capability}" + ("a" if capability >= 90 else "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.ptx")
        file.write_text(text)
        command = [triton.knobs.nvidia.ptxas.path, "-v", f"--gpu-name={architecture}", file, "-o", "/dev/null"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return sum(map(int, re.findall(r"(\d+) bytes spill", done.stderr)))


if __name__ == "__main__":
    found = [
        compiled(kernel, *target)
        for kernel in (kernels.forward_kernel, kernels.backward_kernel)
        for target in (
            (80, "fp32", kernels.MAX_STEPS),
            (90, "fp32", kernels.MAX_STEPS),
            (90, "bf16", 4),
            (80, "fp64", 4),
        )
    ]
    print(json.dumps(found))
