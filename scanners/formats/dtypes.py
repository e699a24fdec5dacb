"""Element types as safetensors spells them: their sizes, and bytes to float32."""

from collections.abc import Mapping

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike, NDArray

from scanners.errors import FormatError, Reason

BITS: Mapping[str, int] = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
_DECODED: Mapping[str, DTypeLike] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16}


def element_size(dtype: str) -> int:
    """Bytes per element. Raises: FormatError (UNSUPPORTED_DTYPE) for unknown names and parts of bytes."""
    bits = BITS.get(dtype, 0)
    if not bits or bits % 8:
        raise FormatError(Reason.UNSUPPORTED_DTYPE, f"elements of {dtype[:40]} are no whole bytes")
    return bits // 8


def decode(data: bytes | memoryview, dtype: str) -> NDArray[np.float32]:
    """The elements of ``data`` as a flat float32 array of its own; NaN and infinities stay what they are.

    F64 beyond the range of float32 becomes infinite.
    Raises: FormatError, UNSUPPORTED_DTYPE for all but F64, F32, F16 and BF16, TRUNCATED where the last
    element is not all there.
    """
    if dtype not in _DECODED:
        raise FormatError(Reason.UNSUPPORTED_DTYPE, f"{dtype[:40]} holds no plain floating-point numbers")
    size_bytes = memoryview(data).nbytes
    if size_bytes % element_size(dtype):
        raise FormatError(Reason.TRUNCATED, f"{size_bytes} bytes are no whole number of {dtype} elements")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.frombuffer(data, _DECODED[dtype]).astype(np.float32)
