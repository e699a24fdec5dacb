"""The agreement test: do two views of a unit point to the same registered unit?

Match the suspect's units to the registered ones by one view, match them again by another, and count the
units on which both matchings agree. A derived model carries its units whole, so the views agree; between
independently trained models the two matchings know nothing of each other.

The null. Condition on both matchings as multisets: c_j suspect units chose registered unit j by the first
view, d_j by the second. If the two matchings are independent given that, their relative order is a
uniformly random permutation and the count T is the number of hits on the board of cells
{(i, k): first(i) = second(k)}, a union of rectangles c_j x d_j. With r_t its rook numbers and m units,

    P(T >= t)  <=  E[binomial(T, t)]  =  r_t (m - t)! / m!

(Riordan, Introduction to Combinatorial Analysis, chapter 7; first Bonferroni inequality.) Where every
c_j, d_j is 0 or 1 this is at most 1/t!, the tail of the fixed points of a random permutation, whatever the
size. Hubs (registered units that attract many) raise r_t and so the bound: the test pays for them.

What it assumes, and every report prints: the two models were trained from independent seeds, by a procedure
that treats units alike, and what two views of one unit share across models (a common scale, a class of
units) is no more than the matchings' own multisets show. The last is not exact: unrelated GPT-2 twins agree
on up to 5 units. `calibration` measures by how much, and the decision leaves room for it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from scanners.records import Matrix

MOST_HITS = 256  # a p-value of 1e-500 needs no more, and a suspect may not choose how long we count


@dataclass(frozen=True, slots=True)
class Agreement:
    """One comparison of suspect units with registered ones through two views."""

    agreeing: int  # T
    units: int  # m, suspect units compared
    log10_p: float  # the bound above, at most 0
    similarity: float  # median cosine of the agreeing units in their weaker view, 0 if none


def nearest(suspect: Matrix, registered: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each row of suspect (m, k) the most similar row of registered (n, k) by absolute cosine, and it.

    Absolute, because a unit's sign can be flipped by a disguise that keeps the function.
    """
    cosines = np.abs(suspect @ registered.T)
    best = cosines.argmax(axis=1)
    return best.astype(np.int64), cosines[np.arange(len(best)), best]


def rook_numbers(first: Sequence[int], second: Sequence[int], upto: int) -> list[int]:
    """r_0 .. r_upto of the board {(i, k): first[i] == second[k]}, exact integers.

    A c x d rectangle has rook polynomial sum_s binomial(c,s) binomial(d,s) s! x^s; disjoint boards multiply.
    The many single cells multiply to (1 + x)^n at once.
    """
    columns = Counter(second)
    rectangles = [(count, columns[value]) for value, count in Counter(first).items() if value in columns]
    single = sum(rows * cols == 1 for rows, cols in rectangles)
    product = [comb(single, placed) for placed in range(min(single, upto) + 1)]
    for rows, cols in rectangles:
        if rows * cols > 1:
            product = _multiply(product, _rectangle(rows, cols), upto)
    return product + [0] * (upto + 1 - len(product))


def _rectangle(rows: int, columns: int) -> list[int]:
    numbers = [1]
    for placed in range(min(rows, columns)):
        numbers.append(numbers[-1] * (rows - placed) * (columns - placed) // (placed + 1))
    return numbers


def _multiply(left: list[int], right: list[int], upto: int) -> list[int]:
    result = [0] * min(len(left) + len(right) - 1, upto + 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right[: len(result) - i]):
            result[i + j] += a * b
    return result


def log10_tail(first: Sequence[int], second: Sequence[int], agreeing: int) -> float:
    """log10 of the bound on P(T >= agreeing) over random orders of the two matchings; at most 0.

    Beyond `MOST_HITS` it is the bound for that many, which holds all the more for more.
    """
    if agreeing == 0:
        return 0.0
    size, counted = len(first), min(agreeing, MOST_HITS)
    placements = rook_numbers(first, second, counted)[counted]
    orders = (gammaln(size - counted + 1) - gammaln(size + 1)) / np.log(10)
    return min(0.0, _log10(placements) + float(orders))


def _log10(number: int) -> float:
    """log10 of a positive integer of any size (math.log10 overflows past 1e308 only for floats)."""
    if number <= 0:
        return -np.inf
    shift = max(number.bit_length() - 60, 0)
    return float(np.log10(number >> shift) + shift * np.log10(2.0))


@dataclass(frozen=True, slots=True)
class Matching:
    """Suspect units (m,) matched twice: the registered unit by either view, and the weaker of both cosines.

    Units whose weaker cosine is below ``least`` do not count as agreeing: independent models agree by
    function on a few units that are only distantly alike. The bound holds all the more for the lower count.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weaker: NDArray[np.float32]
    least: float = 0.0

    @staticmethod
    def of(
        first: tuple[NDArray[np.int64], NDArray[np.float32]],
        second: tuple[NDArray[np.int64], NDArray[np.float32]],
        least: float = 0.0,
    ) -> "Matching":
        """From two results of `nearest`."""
        return Matching(first[0], second[0], np.minimum(first[1], second[1]), least)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Which units (m,) agree and are alike."""
        return np.asarray((self.first == self.second) & (self.weaker >= self.least))

    @property
    def agreeing(self) -> int:
        return int(self.same.sum())

    @property
    def similarity(self) -> float:
        """Median cosine of the agreeing units, 0 if there are none."""
        return float(np.median(self.weaker[self.same])) if self.agreeing else 0.0

    @property
    def rank(self) -> tuple[int, float]:
        """Of two matchings of the same units, the better one ranks higher."""
        return self.agreeing, self.similarity

    def test(self) -> Agreement:
        """The agreement test on the two matchings."""
        tail = log10_tail(self.first.tolist(), self.second.tolist(), self.agreeing)
        return Agreement(self.agreeing, len(self.first), tail, self.similarity)


def agreement(suspect: tuple[Matrix, Matrix], registered: tuple[Matrix, Matrix], least: float = 0.0) -> Agreement:
    """Compare units through two views: suspect views (m, k), registered views (n, k), rows of unit length."""
    return Matching.of(nearest(suspect[0], registered[0]), nearest(suspect[1], registered[1]), least).test()
