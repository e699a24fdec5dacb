"""The names of the sketch schemes: every parameter that changes a vector is in its scheme's name.

The key itself stays secret; its digest in the name keeps the sketches of two deployments apart.
"""

import hashlib
from dataclasses import dataclass

from scanners.anchors import ANCHORS
from scanners.plan import BLOCK_ROWS
from scanners.sketch import IDENTITY_WIDTH, RIDGE, SKETCH_DIM, SPECTRUM_VALUES

VERSION = 1


@dataclass(frozen=True, slots=True)
class Schemes:
    """The schemes of one deployment, by its key (16 bytes or more)."""

    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError("the key of the projections needs 16 bytes or more")

    @property
    def key_id(self) -> str:
        """Eight hexadecimal digits that tell keys apart and give none away."""
        return hashlib.blake2b(b"kinprint key", key=self.key[:64], digest_size=4).hexdigest()

    @property
    def direct(self) -> str:
        return f"direct-v{VERSION}/rows={BLOCK_ROWS}/dim={SKETCH_DIM}/key={self.key_id}"

    @property
    def anchored(self) -> str:
        listed = hashlib.sha256(b"\0".join(ANCHORS)).hexdigest()[:8]
        return f"anchored-v{VERSION}/anchors={len(ANCHORS)}-{listed}/ridge={RIDGE}/dim={SKETCH_DIM}/key={self.key_id}"

    @property
    def heads(self) -> str:
        return f"heads-v{VERSION}/values={SPECTRUM_VALUES}/key={self.key_id}"

    @property
    def profiles(self) -> str:
        return f"profiles-v{VERSION}/identity={IDENTITY_WIDTH}/key={self.key_id}"

    @property
    def name(self) -> str:
        """All of them: part of the identity of every judgement."""
        return " ".join((self.direct, self.anchored, self.heads, self.profiles))
