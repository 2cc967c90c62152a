"""pass@k against rational arithmetic for every corner: 1e-12 asked for, 1e-15 reached."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from eval.scores import pass_at_k_Q, pass_curve, powers_of_two, standard_error_over_samples

SIZES = (1, 2, 3, 4, 7, 8, 31, 32, 33, 64, 100, 255, 256, 1023, 1024, 2047, 2048)


def exact(samples: int, correct: int, k: int) -> Fraction:
    return 1 - Fraction(comb(samples - correct, k), comb(samples, k))


@pytest.mark.parametrize("samples", SIZES)
def test_corners_of_every_size(samples: int) -> None:
    near = {0, 1, 2, samples // 2, samples - 2, samples - 1, samples}
    ks = {k for k in (*powers_of_two(samples), 3, samples // 2, samples - 1, samples) if 1 <= k <= samples}
    for k in ks:
        # The corner where the last miss becomes impossible: n - c = k - 1, k, k + 1.
        counts = sorted(
            c for c in near | {samples - k - 1, samples - k, samples - k + 1} if 0 <= c <= samples
        )
        values = pass_at_k_Q(np.array(counts), samples, k)
        for correct, value in zip(counts, values, strict=True):
            assert abs(Fraction(float(value)) - exact(samples, correct, k)) < Fraction(1, 10**14)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2**power for power in range(12)])
def test_every_count_of_2048_samples(k: int) -> None:
    samples, misses = 2048, comb(2048, k)
    total = misses
    for correct, value in enumerate(pass_at_k_Q(np.arange(samples + 1), samples, k)):
        assert abs(Fraction(float(value)) - (1 - Fraction(misses, total))) < Fraction(1, 10**12)
        left = samples - correct
        misses = misses * (left - k) // left if left > k else 0


def test_powers_of_two_end_with_the_number_of_samples() -> None:
    assert powers_of_two(1) == (1,)
    assert powers_of_two(6) == (1, 2, 4, 6)
    assert powers_of_two(2048) == tuple(2**power for power in range(12))


def test_a_curve_of_2048_samples() -> None:
    correct_QS = np.arange(2048)[None, :] < np.array([0, 1, 2048])[:, None]
    curve = pass_curve(correct_QS)
    assert [point.k for point in curve] == list(powers_of_two(2048))
    # A question with one correct sample of n is passed with chance k / n.
    assert [point.estimate.value for point in curve] == pytest.approx(
        [(k / 2048 + 1) / 3 for k in powers_of_two(2048)]
    )
    assert curve[-1].estimate.se_samples is None


def test_curves_rise() -> None:
    correct_QS = np.arange(32)[None, :] < np.array([0, 1, 5, 20])[:, None]
    values = [point.estimate.value for point in pass_curve(correct_QS)]
    assert values == sorted(values)


def test_the_error_over_samples_of_k_beyond_one_by_leaving_out() -> None:
    # The jackknife itself, sample by sample.
    samples, correct, k = 8, 3, 4
    bits = np.arange(samples) < correct
    left_out = [
        float(pass_at_k_Q(np.array([np.delete(bits, i).sum()]), samples - 1, k)[0]) for i in range(samples)
    ]
    by_hand = np.sqrt((samples - 1) / samples * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert standard_error_over_samples(np.array([correct]), samples, k) == pytest.approx(by_hand)
