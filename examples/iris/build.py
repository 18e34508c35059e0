"""Makes the circuit of the network: run it by the Python that `make zk` has made.

    build.py --srs FILE        with the structured reference string of a ceremony that you trust
    build.py --insecure-srs    with one that is made here: whoever saw its secret can prove anything

It writes build/ with the network (ONNX) and the circuit's four files, and src/vagus_iris/circuit.json
with their hashes, which the agent's manifest names.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

import ezkl
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent
BUILD = FOLDER / "build"
LOGROWS = 11


def main() -> None:
    """Build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--srs", type=Path, help=f"of 2^{LOGROWS} rows, in KZG form")
    source.add_argument("--insecure-srs", action="store_true", help="for tests, and nothing else")
    chosen = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    if chosen.srs is not None:
        shutil.copyfile(chosen.srs, BUILD / "srs")
    else:
        print(
            "An SRS that is made here is for tests alone: its secret was on this machine.",
            file=sys.stderr,
        )
        ezkl.gen_srs(str(BUILD / "srs"), LOGROWS)
    _network(json.loads((FOLDER / "weights.json").read_text()), BUILD / "network.onnx")
    _circuit()
    names = ("circuit", "settings", "vk", "srs")
    found = {name: hashlib.sha256((BUILD / name).read_bytes()).hexdigest() for name in names}
    text = json.dumps(found, indent=2)
    (FOLDER / "src" / "vagus_iris" / "circuit.json").write_text(f"{text}\n")
    print(text)


def _network(weights: dict, path: Path) -> None:
    """Write the network as ONNX: two layers, and a ReLU between them."""
    parts = [
        numpy_helper.from_array(
            (np.array(weights[name]) / weights["scale"]).astype("float32"), name
        )
        for name in ("hidden", "hidden_bias", "output", "output_bias")
    ]
    nodes = [
        helper.make_node("Gemm", ["flower", "hidden", "hidden_bias"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "output", "output_bias"], ["scores"], transB=1),
    ]
    flower = helper.make_tensor_value_info("flower", TensorProto.FLOAT, [1, 4])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "iris", [flower], [scores], parts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _circuit() -> None:
    """Compile it: whole millimetres in, scores in 1024ths out, both public; the weights are in the key."""
    args = ezkl.PyRunArgs()
    args.input_visibility = args.output_visibility = "public"
    args.param_visibility = "fixed"
    args.input_scale, args.param_scale = 0, 10
    # Numbers up to 512^4 either way, which flowers of 200 mm stay within.
    args.decomp_base, args.decomp_legs = 512, 4
    args.logrows = LOGROWS
    network, circuit, settings = (
        str(BUILD / each) for each in ("network.onnx", "circuit", "settings")
    )
    ezkl.gen_settings(network, settings, py_run_args=args)
    ezkl.compile_circuit(network, circuit, settings)
    ezkl.setup(circuit, str(BUILD / "vk"), str(BUILD / "pk"), srs_path=str(BUILD / "srs"))
    # Each node makes the proving key itself.
    (BUILD / "pk").unlink()


if __name__ == "__main__":
    main()
