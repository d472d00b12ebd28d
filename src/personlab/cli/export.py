"""`personlab export`: a network as one ONNX file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from personlab.cli.options import make_parser, write_result
from personlab.errors import InputError
from personlab.files import sha256, write_atomically
from personlab.weights.network_file import load_network, weights_path
from personlab.weights.onnx_file import ONNX_SUFFIX, require

logger = logging.getLogger("personlab")


def run(words: list[str]) -> int:
    """Run `personlab export`."""
    parser = make_parser(
        "export",
        "Write a network as an ONNX file: images in, the five fields out, any size and batch. predict and evaluate "
        "take it as --weights. Ends with 1, and writes nothing, if onnxruntime makes other fields of it than torch.",
    )
    parser.add_argument("weights", type=str, help="network: a .safetensors, or embedded")
    parser.add_output("-o", "--output", type=str, required=True, help="file to write, ending in .onnx")
    parser.add_argument("--stride", type=int | None, default=None, help="output stride; default: the network's")
    parser.add_argument("--check", type=bool, default=True, help="run it, and compare its fields with torch's")
    options = parser.parse_args(words[1:])
    output = Path(options.output)
    if output.suffix != ONNX_SUFFIX:
        raise InputError(f"{output}: networks are exported as ONNX, name the file {output.stem}{ONNX_SUFFIX}")
    result = export(weights_path(options.weights), output, options.stride, options.check)
    write_result(result, options.json)
    return 0 if result["equal"] is not False else 1


def export(source: Path, output: Path, stride: int | None, check: bool) -> dict[str, Any]:
    """Export the network of a file, compare it with torch's if asked to, and write it if it is the same.

    Returns:
        `file` and `bytes`, `output_stride`, `size_multiple`; `equal` (None if nothing was compared), `differences` and
        `tolerances` by field.

    Raises:
        InputError: If the weights, the stride or the output is bad, or a package is missing.
    """
    if check:  # told before exporting, which takes a while; the packages for that are looked for by the export itself
        require("onnxruntime")
    from personlab.inference.export import TOLERANCES, export_onnx, largest_differences
    from personlab.inference.onnx_network import OnnxNetwork

    network, metadata = load_network(source)
    if stride is not None:
        network.set_output_stride(stride)
    told = {"weights_file": source.name, "weights_sha256": sha256(source)}
    content = export_onnx(network, {**metadata, **told})
    differences = largest_differences(network, OnnxNetwork(output, content=content)) if check else {}
    for name, difference in differences.items():
        logger.info("%s: differs from torch's by %.1e at most, allowed %g", name, difference, TOLERANCES[name])
    # Written so that NaN, which compares with nothing, is refused.
    equal = all(differences[name] <= TOLERANCES[name] for name in differences) if check else None
    if equal is False:
        logger.error("%s: not written: onnxruntime makes other fields of it than torch", output)
    else:
        write_atomically(output, content)
        logger.info("%s: output stride %d, %.2f MB", output, network.output_stride, len(content) / 1e6)
    return {
        "file": str(output),
        "bytes": len(content),
        "output_stride": network.output_stride,
        "size_multiple": network.size_multiple,
        "equal": equal,
        "differences": differences,
        "tolerances": TOLERANCES,
    }
