from __future__ import annotations

import numpy as np
import pytest

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.provenance.carriers import carriers_of
from ggtalker_core.provenance.convolution import coded_length, decode, encode
from ggtalker_core.provenance.payload import CODED_BITS, check_watermark_id, new_watermark_id, pack, unpack


def test_known_answer_of_the_code():
    # One data bit wanders through the register: the response is the generators, lowest tap (newest bit) first.
    impulse = encode(np.array([1], np.uint8)).reshape(-1, 3)
    assert [int("".join(map(str, column[::-1])), 2) for column in impulse.T] == [0o10533, 0o10675, 0o17661]


def test_round_trip_with_a_fifth_of_the_bits_wrong():
    rng = np.random.default_rng(1)
    for _ in range(10):
        bits = rng.integers(0, 2, 96).astype(np.uint8)
        soft = (1.0 - 2.0 * encode(bits)).astype(np.float32)
        wrong = rng.permutation(len(soft))[: len(soft) // 5]
        soft[wrong] *= -0.3  # wrong, and weak, as noise makes them
        assert np.array_equal(decode(soft), bits)


def test_coded_length():
    assert coded_length(96) == CODED_BITS == 324


def test_pack_and_unpack():
    for _ in range(20):
        name = new_watermark_id()
        assert unpack(pack(name, "k"), "k") == name


def test_the_check_depends_on_key_and_bits():
    bits = pack("00000000000000ff", "k")
    assert unpack(bits, "another") is None
    for position in range(96):
        spoilt = bits.copy()
        spoilt[position] ^= 1
        assert unpack(spoilt, "k") is None


@pytest.mark.parametrize(
    "bad", ["", "0123", "0123456789ABCDEF", "0123456789abcdefa", "0123456789abcde\n", "../../etc/passwd"]
)
def test_bad_ids_are_refused(bad: str):
    with pytest.raises(InvalidInputError, match="16 lower-case"):
        check_watermark_id(bad)


def test_carriers_are_orthonormal_and_keyed():
    a, b = carriers_of("a"), carriers_of("b")
    assert np.allclose(a.basis.T @ a.basis, np.eye(325), atol=1e-5)
    assert abs(float((a.basis[:, -1] * b.basis[:, -1]).sum())) < 0.15
    tile = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    coordinates = a.project(tile)
    back = np.fft.irfft2(a.spectrum(coordinates), s=(128, 128))
    assert np.allclose(a.project(back), coordinates, atol=1e-4)  # the band is a subspace, the map an isometry
    assert np.isclose(np.linalg.norm(back), np.linalg.norm(coordinates), rtol=1e-5)


def test_carriers_never_change():
    # A change here makes every mark ever written unreadable.
    carriers = carriers_of("ggtalker-public-1")
    assert carriers.order[:6].tolist() == FROZEN_ORDER
    assert np.allclose(carriers.basis[0, :3], FROZEN_BASIS, atol=1e-5)


FROZEN_ORDER = [182, 15, 211, 278, 68, 164]
FROZEN_BASIS = [0.01721747, -0.01817256, 0.02499307]
