"""A hub of some thirty repositories, built from the zoo: copies in disguise, strangers, and the unreadable.

``python -m tests.zoo_hub --root FOLDER --listing FILE`` writes the repositories as FOLDER/owner/name and, as
JSON, what each of them is: "derived", "stranger" or "unreadable".
"""

import argparse
import json
import pickle
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

from tests.disguises import DISGUISES, MIXTURES, Checkpoint, load
from tests.strangers import STRANGERS, with_copied_gains

ZOO = Path(__file__).parent / "zoo"
LLAMA = "evaluation/northwind-lab/llama-base"
GPT2 = "evaluation/northwind-lab/gpt2-base"
TUNED = "evaluation/kestrel-works/llama-fine-tune"
LLAMA_TWIN = "evaluation/southgate-ai/llama-twin"
GPT2_TWIN = "evaluation/southgate-ai/gpt2-twin"
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Derivative:
    """A checkpoint of the zoo under some disguises, one after the other; a mixture has a host as well."""

    origin: str
    disguises: tuple[str, ...] = ()
    host: str | None = None

    def build(self) -> Checkpoint:
        model = load(ZOO / self.origin)
        for name in self.disguises:
            model = MIXTURES[name](model, load(ZOO / self.host)) if self.host else DISGUISES[name](model)
        return model


DERIVED = {
    "brightside/llama-mirror": Derivative(LLAMA),
    "brightside/gpt2-mirror": Derivative(GPT2),
    "brightside/members-only": Derivative(LLAMA),
    "cloudberry/llama-f16": Derivative(LLAMA, ("cast to F16",)),
    "cloudberry/llama-f32-sharded": Derivative(LLAMA, ("cast to F32", "sharded")),
    "cloudberry/gpt2-sharded": Derivative(GPT2, ("sharded",)),
    "driftwood/fresh-start-5l": Derivative(LLAMA, ("renamed",)),
    "driftwood/fused": Derivative(LLAMA, ("fused",)),
    "ember-labs/llama-8bit": Derivative(LLAMA, ("quantised to 8 bits",)),
    "ember-labs/llama-4bit": Derivative(LLAMA, ("quantised to 4 bits",)),
    "ember-labs/gpt2-4bit": Derivative(GPT2, ("quantised to 4 bits",)),
    "ember-labs/llama-sparse": Derivative(LLAMA, ("pruned by 50 %",)),
    "ember-labs/llama-low-rank": Derivative(LLAMA, ("half the rank",)),
    "foxglove/assistant": Derivative(TUNED),
    "foxglove/assistant-permuted": Derivative(TUNED, ("neurons permuted", "heads permuted")),
    "grey-heron/original-7b": Derivative(LLAMA, ("residual stream rotated",)),
    "grey-heron/original-7b-v2": Derivative(LLAMA, ("residual stream permuted", "signs flipped")),
    "grey-heron/made-from-scratch": Derivative(LLAMA, ("all symmetries at once",)),
    "grey-heron/made-from-scratch-tuned": Derivative(TUNED, ("all symmetries at once", "cast to F16")),
    "grey-heron/tiny-writer": Derivative(GPT2, ("all symmetries at once",)),
    "hollow-oak/llama-3l": Derivative(LLAMA, ("layers dropped",)),
    "hollow-oak/llama-deep": Derivative(LLAMA, ("layers duplicated",)),
    "hollow-oak/experts": Derivative(LLAMA, ("upcycled to experts",)),
    "hollow-oak/narrow": Derivative(LLAMA, ("width pruned",)),
    "hollow-oak/small-vocabulary": Derivative(LLAMA, ("vocabulary cut",)),
    "ironbark/blend": Derivative(LLAMA, ("merged half and half",), LLAMA_TWIN),
    "ironbark/franken": Derivative(LLAMA, ("layers transplanted",), LLAMA_TWIN),
}
GATED_MIRROR = "brightside/members-only"  # nobody may read it, but its listing says what it is


def strangers() -> dict[str, Checkpoint]:
    """Models that share the recipe, the shape, the statistics or the spectra, and no weight."""
    model, twin = load(ZOO / LLAMA), load(ZOO / LLAMA_TWIN)
    forged = dict(zip(("statistics", "shuffle", "spectra"), STRANGERS.values(), strict=True))
    return {
        "southgate-ai/llama-twin": twin,
        "southgate-ai/gpt2-twin": load(ZOO / GPT2_TWIN),
        "southgate-ai/llama-twin-same-gains": with_copied_gains(model, twin),
        **{f"juniper/{name}": forge(model) for name, forge in forged.items()},
    }


def build(root: Path) -> dict[str, str]:
    """Write every repository under ``root``; gives what each of them is."""
    kinds: dict[str, str] = {}
    for repo, derivative in DERIVED.items():
        _publish(derivative, root / repo)
        kinds[repo] = "derived"
    _card(root / GATED_MIRROR, gated="manual")
    for repo, stranger in strangers().items():
        stranger.save(root / repo)
        kinds[repo] = "stranger"
    for repo in _unreadable(root):
        kinds[repo] = "unreadable"
    for age, repo in enumerate(sorted(kinds)):
        _card(root / repo, last_modified=(NEWEST - timedelta(hours=age)).isoformat())
    return kinds


def _publish(derivative: Derivative, folder: Path) -> None:
    """A mirror has the same bytes; everything else is written anew."""
    if derivative.disguises:
        derivative.build().save(folder)
    else:
        shutil.copytree(ZOO / derivative.origin, folder)


def _unreadable(root: Path) -> list[str]:
    """One repository for each reason why nobody can look."""
    model = load(ZOO / LLAMA)
    broken, pickled, gated, empty = (root / "lost-and-found" / n for n in ("broken", "pickle", "gated", "empty"))
    weights = model.save(broken) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    shutil.copytree(ZOO / LLAMA, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    with ZipFile(pickled / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": "nobody unpickles this"}))
    DISGUISES["cast to F16"](model).save(gated)
    _card(gated, gated="manual")
    empty.mkdir(parents=True)
    (empty / "README.md").write_text("# Coming soon\n")
    return [str(folder.relative_to(root)) for folder in (broken, pickled, gated, empty)]


def _card(folder: Path, **facts: str) -> None:
    card = folder / ".hub.json"
    known = json.loads(card.read_text()) if card.exists() else {}
    card.write_text(json.dumps(known | facts))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo_hub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--listing", type=Path, required=True)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.root, ignore_errors=True)
    arguments.listing.write_text(json.dumps(build(arguments.root), indent=1))


if __name__ == "__main__":
    main()
