"""Writes held_out.json: for each model of the zoo, text it never saw and how well it predicts it.

``python tests/zoo/measure.py``, after train.py; the stored (bf16) weights are measured, by torch.
test_zoo.py holds the numpy forward pass to these losses.
"""

import json

import networks
import torch
from recipes import CONTEXT, RECIPES, Recipe
from safetensors.torch import load_file
from train import HELD_OUT, HERE, entropy, held_out_loss, loss_of, stored_tokenizer, tokens_of


def network_of(folder: str) -> torch.nn.Module:
    config = json.loads((HERE / folder / "config.json").read_text())
    network = networks.build(config)
    network.load_state_dict(load_file(HERE / folder / "model.safetensors"))
    return network.float()


def measure(recipe: Recipe) -> dict[str, object]:
    """Losses in nats a token, on all held-out text and on its first window."""
    tokens = tokens_of(stored_tokenizer(recipe.folder), recipe.text)
    network, held_out = network_of(recipe.folder), tokens[-HELD_OUT:]
    sample = held_out[: CONTEXT + 1]
    row: dict[str, object] = {
        "unigram_entropy": round(entropy(tokens), 4),
        "loss": round(held_out_loss(network, held_out), 4),
        "sample": sample.tolist(),
        "sample_loss": round(float(loss_of(network, sample[None]).detach()), 5),
    }
    if recipe.parent:
        row["parent_loss"] = round(held_out_loss(network_of(recipe.parent), held_out), 4)
    return row


def main() -> None:
    rows = {recipe.folder: measure(recipe) for recipe in RECIPES}
    lines = ",\n".join(f"{json.dumps(folder)}: {json.dumps(row)}" for folder, row in rows.items())
    (HERE / "held_out.json").write_text(f"{{\n{lines}\n}}\n")
    for folder, row in rows.items():
        print(folder, {name: value for name, value in row.items() if name != "sample"})


if __name__ == "__main__":
    main()
