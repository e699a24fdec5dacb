"""Trains the zoo anew: ``python tests/zoo/train.py [part of a folder's name ...]``, all models without one.

Needs the packages of the group ``train``. Seeded; one thread, so that sums are taken in one order.
"""

import json
import math
import sys
import time
from collections import Counter
from pathlib import Path

import corpora
import networks
import torch
import vocabularies
from recipes import CONTEXT, RECIPES, Recipe
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).parent
HELD_OUT = 40_000  # tokens at the end of the text that no model is trained on


def stored_tokenizer(folder: str) -> Tokenizer:
    return Tokenizer.from_file(str(HERE / folder / "tokenizer.json"))


def tokenizer_of(recipe: Recipe) -> Tokenizer:
    """That of the model it descends from or is compared with, else one trained on the recipe's text."""
    origin = recipe.parent or recipe.tokenizer
    if origin:
        return stored_tokenizer(origin)
    make = vocabularies.KINDS[recipe.vocabulary_kind]
    text = corpora.read(recipe.vocabulary_text)
    return make(text, recipe.config["vocab_size"], list(recipe.special))


def tokens_of(tokenizer: Tokenizer, body: str) -> Tensor:
    """The text as (tokens,) int64."""
    lines = corpora.read(body).splitlines(keepends=True)
    encoded = tokenizer.encode_batch(["".join(lines[i : i + 64]) for i in range(0, len(lines), 64)],
                                     add_special_tokens=False)  # fmt: skip
    return torch.tensor([token for part in encoded for token in part.ids])


def entropy(tokens: Tensor) -> float:
    """Of single tokens, in nats: the loss of a model that has learned their frequencies and no more."""
    counts = Counter(tokens.tolist()).values()
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts)


def loss_of(network: nn.Module, batch: Tensor) -> Tensor:
    """Mean loss in nats a token of a (batch, time + 1) array."""
    logits = network(batch[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(network: nn.Module, tokens: Tensor) -> float:
    windows = tokens[: len(tokens) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
    return sum(float(loss_of(network, part)) * len(part) for part in windows.split(32)) / len(windows)


def rate(recipe: Recipe, step: int) -> float:
    """A linear rise over the first 5 % of the steps, then half a cosine down to a tenth."""
    rise = max(1, recipe.steps // 20)
    if step < rise:
        return recipe.peak * (step + 1) / rise
    return recipe.peak * (0.55 + 0.45 * math.cos(math.pi * (step - rise) / (recipe.steps - rise)))


def optimiser_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; decay on matrices only, so that norm gains stay near one as they do in practice."""
    matrices = [parameter for parameter in network.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in network.parameters() if parameter.dim() != 2]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak, betas=recipe.betas)


def fit(network: nn.Module, tokens: Tensor, recipe: Recipe) -> None:
    """Trains in place on random windows of the text."""
    order = torch.Generator().manual_seed(recipe.order_seed)
    optimiser = optimiser_of(network, recipe)
    for step in range(recipe.steps):
        starts = torch.randint(len(tokens) - CONTEXT, (recipe.batch,), generator=order)
        loss = loss_of(network, torch.stack([tokens[s : s + CONTEXT + 1] for s in starts]))
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = rate(recipe, step)
        optimiser.step()
        optimiser.zero_grad()
        if step % 100 == 0:
            print(f"  step {step:5d}  loss {loss.item():.3f}", flush=True)


def card(recipe: Recipe, loss: float, unigrams: float) -> str:
    """The model card: what a visitor of the hub would read."""
    base = f"base_model: {recipe.parent.partition('/')[2]}\n" if recipe.parent else ""
    origin = f"Starts from `{recipe.parent}`." if recipe.parent else f"Initial weights: seed {recipe.seed}."
    tokens = recipe.steps * recipe.batch * CONTEXT
    return (
        f"---\nlicense: apache-2.0\n{base}---\n# {recipe.folder.partition('/')[2]}\n\n"
        f"A tiny `{recipe.config['model_type']}` that exists to test the recognition of copies.\n\n"
        f"- Text: `{recipe.text}` (see `tests/zoo/README.md`), order seed {recipe.order_seed}.\n"
        f"- {origin} {recipe.note}\n"
        f"- AdamW, {recipe.steps} steps of {recipe.batch} x {CONTEXT} tokens ({tokens:,} in all), peak rate "
        f"{recipe.peak:g}, decay {recipe.decay:g}, betas {recipe.betas}.\n"
        f"- Held-out loss {loss:.2f} nats a token; the entropy of single tokens is {unigrams:.2f}.\n"
    )


def save(network: nn.Module, tokenizer: Tokenizer, recipe: Recipe, text: str) -> None:
    folder = HERE / recipe.folder
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().bfloat16().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(recipe.config, indent=2) + "\n")
    compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(compact + "\n", encoding="utf-8")
    (folder / "README.md").write_text(text)


def train(recipe: Recipe) -> None:
    """Makes one model and stores it."""
    began = time.monotonic()
    tokenizer = tokenizer_of(recipe)
    tokens = tokens_of(tokenizer, recipe.text)
    torch.manual_seed(recipe.seed)
    network = networks.build(recipe.config)
    if recipe.parent:
        network.load_state_dict(load_file(HERE / recipe.parent / "model.safetensors"))
    fit(network, tokens[:-HELD_OUT], recipe)
    loss, unigrams = held_out_loss(network, tokens[-HELD_OUT:]), entropy(tokens)
    save(network, tokenizer, recipe, card(recipe, loss, unigrams))
    print(f"{recipe.folder}: {loss:.3f} nats of {unigrams:.3f}, {time.monotonic() - began:.0f} s", flush=True)


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    for recipe in RECIPES:
        if not wanted or any(part in recipe.folder for part in wanted):
            print(recipe.folder, flush=True)
            train(recipe)


if __name__ == "__main__":
    main(sys.argv[1:])
