"""`train audio-prior`: from a settings file to a prior with a model card; resumed, in stretches, in two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ggtalker_core.cli import main
from ggtalker_core.errors import InvalidInputError
from ggtalker_core.expression.prior import load_prior
from ggtalker_core.expression.shards import write_shard
from ggtalker_core.expression.training_run import read_settings, train_audio_prior

ROOT = Path(__file__).resolve().parents[2]


def write_corpus(folder, shards=3, seed=0):
    """Shards in the format of tools/speech/corpus.py, 32 features wide; the last one of a short tracked clip."""
    folder.mkdir(parents=True)
    for i in range(shards):
        g = torch.Generator().manual_seed(seed + i)
        features = torch.randn(4, 60, 32, generator=g)
        plain = (features @ torch.ones(32, 13) * 0.01 + 0.1).clamp(0, 0.8)
        tensors = {
            "features": features.half(), "channels": plain[:, None].repeat(1, 2, 1, 1).half(),
            "manners": torch.zeros(4, 2, 4).half(), "closure": (plain[..., 0] < 0.05).half(),
        }  # fmt: skip
        if i == shards - 1:
            tensors["frames"] = torch.full((4,), 45)
        save_file(tensors, folder / f"shard{i:03d}.safetensors")


def settings(folder, steps=8, **changes):
    part = {"steps": steps, "batch": 4, "warmup": 2, "checkpoint_every": 4}
    given = {
        "corpus": ["corpus"], "run": "run", "out": "out/own.safetensors", "prior": "tiny", "regression": part,
        "denoiser": part, "device": "cpu", "data": "invented numbers",
    } | changes  # fmt: skip
    path = folder / "run.json"
    path.write_text(json.dumps(given))
    return path


def test_the_command_writes_a_prior_and_its_card(tmp_path, capsys):
    write_corpus(tmp_path / "corpus")
    assert main(["train", "audio-prior", str(settings(tmp_path)), "--quiet", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    prior = load_prior(Path(told["prior"]))
    assert prior.denoiser is not None and json.loads(prior.metadata["trained"])["denoiser_steps"] == 8
    card = Path(told["model_card"]).read_text()
    assert "invented numbers" in card and "Loss of the denoiser" in card and "| 8 |" in card
    assert prior(torch.randn(30, 32), seed=0).channels.shape == (30, 13)


def test_a_stopped_run_goes_on_to_the_same_prior(tmp_path):
    write_corpus(tmp_path / "corpus")
    whole = load_file(train_audio_prior(read_settings(settings(tmp_path, run="a", out="a.safetensors"))))

    def stop(done, total, message="", preview=None):
        if done == 6:
            raise KeyboardInterrupt

    stopped = read_settings(settings(tmp_path, run="b", out="b.safetensors"))
    with pytest.raises(KeyboardInterrupt):
        train_audio_prior(stopped, progress=stop)
    assert not stopped.out.exists() and (tmp_path / "b" / "regression.checkpoint.safetensors").exists()
    resumed = load_file(train_audio_prior(stopped))
    for name, value in whole.items():
        assert float((resumed[name].float() - value.float()).abs().max()) <= 1.01, name  # int8 steps


def test_a_corpus_larger_than_memory_is_seen_in_stretches(tmp_path, monkeypatch):
    write_corpus(tmp_path / "corpus", shards=4)
    seen = []
    from ggtalker_core.expression import training_data

    original = training_data._read_folder
    monkeypatch.setattr(
        training_data, "_read_folder", lambda f, n, o: seen.append((n, o is not None)) or original(f, n, o)
    )
    path = settings(tmp_path, steps=6, shards_at_once=1, stretch=3)
    train_audio_prior(read_settings(path))
    assert seen.count((1, True)) >= 4  # two stretches of both networks


def test_settings_that_do_not_fit_are_refused(tmp_path):
    write_corpus(tmp_path / "corpus", shards=1)
    for changes, words in (
        ({"prior": "huge"}, "prior must be"), ({"colour": 1}, "unknown"), ({"regression": {"pace": 1}}, "regression"),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=words):
            read_settings(settings(tmp_path, **changes))
    with pytest.raises(InvalidInputError, match="32 features"):
        train_audio_prior(read_settings(settings(tmp_path, prior="bundled")))


def test_two_processes_share_a_run(tmp_path):
    """torchrun, which is what `accelerate launch --multi_gpu --num_processes 2` starts, here with gloo on CPUs."""
    write_corpus(tmp_path / "corpus")
    path = settings(tmp_path, steps=3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port), "-m",
        "ggtalker_core.cli", "train", "audio-prior", str(path), "--quiet",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "bf16"}
    job = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=200)
    assert job.returncode == 0, job.stderr.decode()
    trained = json.loads(load_prior(tmp_path / "out" / "own.safetensors").metadata["trained"])
    assert trained["processes"] == 2 and trained["precision"] == "bfloat16"


def test_a_launcher_that_started_too_few_is_told(tmp_path, monkeypatch):
    """`accelerate launch --cpu --num_processes 2` without mpirun starts one process and says nothing."""
    write_corpus(tmp_path / "corpus")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(InvalidInputError, match="--multi_gpu"):
        train_audio_prior(read_settings(settings(tmp_path)))


def test_tars_train_as_safetensors_do(tmp_path):
    write_corpus(tmp_path / "corpus")
    for path in (tmp_path / "corpus").glob("*.safetensors"):
        write_shard(tmp_path / "tars" / f"{path.stem}.tar", load_file(path))

    def trained(corpus):
        path = settings(tmp_path, corpus=[corpus], run=f"run_{corpus}", out=f"{corpus}.safetensors")
        return load_file(train_audio_prior(read_settings(path)))

    files = [trained("corpus"), trained("tars")]
    assert all(torch.equal(value, files[1][name]) for name, value in files[0].items())


def test_the_papers_model_trains(tmp_path):
    """Eight layers, 512 wide, 100 + 10 frames: it takes steps and is saved and read with its shapes."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(2, 120, 1024, generator=g)
    channels = torch.rand(2, 1, 120, 13, generator=g) * 0.2
    write_shard(
        tmp_path / "corpus" / "a.tar",
        {
            "features": features.half(), "channels": channels.half(), "manners": torch.zeros(2, 1, 4).half(),
            "closure": torch.zeros(2, 120).half(),
        },
    )  # fmt: skip
    part = {"steps": 1, "batch": 1, "warmup": 1}
    prior = load_prior(
        train_audio_prior(read_settings(settings(tmp_path, prior="paper", regression=part, denoiser=part)))
    )
    assert (prior.config.layers, prior.config.width, prior.config.window, prior.config.previous) == (8, 512, 100, 10)
    assert torch.isfinite(prior(features[0, :20], seed=0).channels).all()
