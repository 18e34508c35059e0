"""Trains the network on Fisher's flowers (1936), and writes its weights as whole 1024ths.

numpy alone is needed. Every fifth flower is left out of the training, and tells how good it is.
"""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
SCALE = 1024
HIDDEN, ROUNDS, RATE, DECAY = 8, 3000, 0.3, 1e-3


def main() -> None:
    """Train, write weights.json, and print the share of flowers that are told right."""
    table = np.loadtxt(FOLDER / "iris.csv", delimiter=",", skiprows=1, dtype=int)
    measures, species = table[:, :4], table[:, 4]
    held_out = np.arange(len(table)) % 5 == 0
    mean, spread = measures.mean(0), measures.std(0)
    seen, wanted = ((measures - mean) / spread)[~held_out], np.eye(3)[species[~held_out]]
    draw = np.random.default_rng(1)
    w1, b1 = draw.normal(size=(4, HIDDEN)) * 0.5, np.zeros(HIDDEN)
    w2, b2 = draw.normal(size=(HIDDEN, 3)) * 0.5, np.zeros(3)
    for _ in range(ROUNDS):
        hidden = np.maximum(seen @ w1 + b1, 0)
        odds = np.exp(hidden @ w2 + b2)
        slope = (odds / odds.sum(1, keepdims=True) - wanted) / len(seen)
        back = (slope @ w2.T) * (hidden > 0)
        w2 -= RATE * (hidden.T @ slope + DECAY * w2)
        b2 -= RATE * slope.sum(0)
        w1 -= RATE * (seen.T @ back + DECAY * w1)
        b1 -= RATE * back.sum(0)
    # The network takes millimetres as they are: what centres them is a part of its first layer.
    first = w1 / spread[:, None]
    parts = {
        "hidden": first.T,
        "hidden_bias": b1 - mean @ first,
        "output": w2.T,
        "output_bias": b2,
    }
    weights = {name: np.rint(part * SCALE).astype(int).tolist() for name, part in parts.items()}
    lines = ",\n".join(f'  "{name}": {json.dumps(part)}' for name, part in weights.items())
    (FOLDER / "weights.json").write_text(f'{{\n  "scale": {SCALE},\n{lines}\n}}\n')
    layer = np.maximum(measures @ np.array(weights["hidden"]).T + weights["hidden_bias"], 0)
    scores = layer @ np.array(weights["output"]).T + np.array(weights["output_bias"]) * SCALE
    right = scores.argmax(1) == species
    print(
        f"told right: {right[~held_out].mean():.1%}, of those left out {right[held_out].mean():.1%}"
    )


if __name__ == "__main__":
    main()
