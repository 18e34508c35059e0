"""Embeddings of texts: all-MiniLM-L6-v2 in numpy, on this machine.

Six layers of BERT (Devlin et al. 2018, arXiv:1810.04805), 384 numbers a token, averaged over the
tokens and scaled to length 1, as sentence-transformers computes them. Needs the extra `semantic`;
the weights are in the user's cache once `vagus.daemon.fetch.embedder_path` has put them there.
"""

import functools
import importlib
import json
from pathlib import Path
from typing import Any

from vagus.compute.cache import cache_dir
from vagus.protocol import Refuse

__all__ = ["EMBEDDER", "Embedder", "embedder"]

EMBEDDER = "all-MiniLM-L6-v2"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
LAYERS, HEADS, EPSILON = 6, 12, 1e-12
# Tokens that the model was trained on at once, its two marks included; and of a window's overlap.
WINDOW, OVERLAP = 256, 64
FIRST, LAST = 101, 102


@functools.cache
def embedder() -> "Embedder":
    """Return the embedder, loaded once a process. Raises Refuse, saying what to do."""
    return Embedder(cache_dir() / "models" / EMBEDDER)


class Embedder:
    """The model's weights in memory (91 MB). Raises Refuse where it can't be used."""

    def __init__(self, folder: Path) -> None:
        try:
            self._np: Any = importlib.import_module("numpy")
            tokenizers: Any = importlib.import_module("tokenizers")
        except ImportError:
            raise Refuse(
                "comparing texts by meaning needs an extra: pip install 'vagus[semantic]'"
            ) from None
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
            self._weights = self._read(folder / WEIGHTS)
        except Exception as error:
            # The tokenizer raises nothing narrower.
            raise Refuse(
                f"the embeddings' model in {folder} can't be read: {type(error).__name__}"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def similarity(self, one: str, other: str) -> float:
        """Return how near two texts are in meaning, from -1 to 1: a cosine.

        Longer ones are compared window by window: each window of either text has its nearest in
        the other, and the farthest of these counts, so that nothing can be hidden behind a text.
        """
        cosines = self.embed(one) @ self.embed(other).T
        return float(min(cosines.max(axis=0).min(), cosines.max(axis=1).min()))

    def embed(self, text: str) -> Any:
        """Return an array of one embedding for each window of at most 256 tokens."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        size, step = WINDOW - 2, WINDOW - 2 - OVERLAP
        starts = range(0, max(len(ids) - OVERLAP, 1), step)
        windows = [[FIRST, *ids[at : at + size], LAST] for at in starts]
        return self._np.stack([self._window(window) for window in windows])

    def _window(self, ids: list[int]) -> Any:
        np, part = self._np, self._part
        found = (
            part("embeddings.word_embeddings.weight")[ids]
            + part("embeddings.position_embeddings.weight")[: len(ids)]
            + part("embeddings.token_type_embeddings.weight")[0]
        )
        found = self._norm(found, "embeddings.LayerNorm")
        for at in range(LAYERS):
            layer = f"encoder.layer.{at}."
            seen = self._attend(found, layer + "attention.self.")
            seen = self._linear(seen, layer + "attention.output.dense")
            found = self._norm(found + seen, layer + "attention.output.LayerNorm")
            wide = _gelu(np, self._linear(found, layer + "intermediate.dense"))
            wide = self._linear(wide, layer + "output.dense")
            found = self._norm(found + wide, layer + "output.LayerNorm")
        mean = found.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _attend(self, found: Any, of: str) -> Any:
        np, (count, width) = self._np, found.shape
        query, key, value = (
            self._linear(found, of + name).reshape(count, HEADS, -1).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(np.float32(width // HEADS))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ value).transpose(1, 0, 2).reshape(count, width)

    def _linear(self, found: Any, of: str) -> Any:
        return found @ self._part(of + ".weight").T + self._part(of + ".bias")

    def _norm(self, found: Any, of: str) -> Any:
        centred = found - found.mean(axis=-1, keepdims=True)
        spread = self._np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return centred / spread * self._part(of + ".weight") + self._part(of + ".bias")

    def _part(self, name: str) -> Any:
        return self._weights[name]

    def _read(self, path: Path) -> dict[str, Any]:
        """Read a file of safetensors: a length, JSON of names and places, the numbers."""
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        listed = json.loads(data[8 : 8 + size])
        found = {}
        for name, tensor in listed.items():
            if name != "__metadata__" and tensor["dtype"] == "F32":
                begin, end = (8 + size + offset for offset in tensor["data_offsets"])
                numbers = self._np.frombuffer(data[begin:end], dtype="<f4")
                found[name] = numbers.reshape(tensor["shape"])
        return found


def _gelu(np: Any, x: Any) -> Any:
    """GELU with the error function as in Abramowitz and Stegun, 7.1.26: within 1.5e-7."""
    z = np.abs(x) / np.sqrt(np.float32(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    erf = np.sign(x) * (1 - series * np.exp(-z * z))
    return x * (1 + erf) / 2
