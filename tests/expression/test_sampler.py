"""Known answers of the schedule and of DDIM; windows that continue each other."""

import pytest
import torch

from ggtalker_core.expression.sampler import add_noise, cosine_schedule, sample, sample_window


def test_schedule_runs_from_signal_to_noise():
    power = cosine_schedule(500)
    assert power.shape == (501,)
    assert float(power[0]) == 1 and float(power[-1]) == pytest.approx(1e-4)
    assert bool((power.diff() <= 0).all())
    assert float(power[250]) == pytest.approx(0.4934, abs=1e-3)  # cos^2((.5 + .008) / 1.008 pi / 2) / cos^2(.008 / ...)


def test_noise_is_mixed_by_power():
    clean, noise = torch.ones(2, 3, 1), torch.full((2, 3, 1), 2.0)
    mixed = add_noise(clean, noise, torch.tensor([1.0, 0.25]))
    assert torch.allclose(mixed[0], torch.ones(3, 1))
    assert torch.allclose(mixed[1], torch.full((3, 1), 0.5 + 2 * 0.75**0.5))


@pytest.mark.parametrize("steps", [1, 2, 10, 500])
def test_a_denoiser_that_knows_the_answer_gets_it(steps):
    answer = torch.randn(1, 20, 13)

    def predict(noisy, known, step):
        return torch.cat([noisy[:, :4], answer], 1)

    got = sample_window(predict, torch.randn(1, 20, 13), torch.zeros(1, 4, 13), cosine_schedule(500), steps)
    assert torch.allclose(got, answer, atol=1e-5)


def test_ddim_follows_the_exact_flow_of_a_gaussian():
    """For data ~ N(0, s^2) the ideal x0 is known and the flow maps noise z to s z; many steps must come close."""
    s, schedule = 0.5, cosine_schedule(500)

    def predict(noisy, known, step):
        a = schedule[step][:, None, None]
        return noisy * a.sqrt() * s**2 / (a * s**2 + 1 - a)

    z = torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(0))
    got = sample_window(predict, z, torch.zeros(1, 0, 2), schedule, 500)
    assert float((got - s * z).abs().max()) < 0.02


def test_previous_frames_are_shown_clean_and_marked():
    seen = []

    def predict(noisy, known, step, first, count):
        seen.append((noisy[:, :4].clone(), known.clone(), first, count))
        return torch.full_like(noisy, float(first))

    start = torch.full((1, 4, 2), -1.0)
    out = sample(predict, 50, start, window=20, schedule=cosine_schedule(50), steps=3, seed=0)
    assert out.shape == (50, 2)
    assert [s[2:] for s in seen[::3]] == [(0, 20), (20, 20), (40, 10)]
    assert torch.equal(seen[0][0], start)
    assert torch.allclose(seen[3][0], torch.zeros(1, 4, 2), atol=1e-4)  # the last frames of window 0
    assert torch.allclose(seen[6][0], torch.full((1, 4, 2), 20.0), atol=1e-3)
    assert torch.equal(seen[0][1], torch.cat([torch.ones(1, 4), torch.zeros(1, 20)], 1))


def test_seed_and_length():
    def predict(noisy, known, step, first, count):
        return noisy * 0.5

    def run(frames, seed):
        return sample(
            predict, frames, torch.zeros(1, 4, 2), window=20, schedule=cosine_schedule(50), steps=3, seed=seed
        )

    assert torch.equal(run(50, 3), run(50, 3))
    assert not torch.allclose(run(50, 3), run(50, 4))
    assert torch.equal(run(50, 3)[:33], run(33, 3))  # a longer sound does not change its beginning


def test_progress_reaches_the_end_and_may_cancel():
    told = []

    def note(done, total, message="", preview=None):
        told.append((done, total))

    def predict(noisy, known, step, first, count):
        return noisy

    arguments = {"window": 20, "schedule": cosine_schedule(50), "steps": 2, "seed": 0}
    sample(predict, 45, torch.zeros(1, 4, 2), progress=note, **arguments)
    assert told == [(20, 45), (40, 45), (45, 45)]

    def cancel(done, total, message="", preview=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(predict, 45, torch.zeros(1, 4, 2), progress=cancel, **arguments)
