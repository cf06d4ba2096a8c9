"""What every process of a run finds in the folder that is written for vLLM. Started by torchrun with a model's path."""

import os
import sys

import torch
from safetensors.torch import load_file

from tests.model.adapters import adapted
from visreason.engine import sync
from visreason.model.load import load
from visreason.train import sharding
from visreason.train.settings import Training


def policy(path, spread):
    return adapted(load(path, device="cpu", spread=spread), 3, 0.1)


def tensors(folder):
    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


def main(path):
    with torch.no_grad(), sync.written(policy(path, False)) as folder:
        expected = tensors(folder)
    settings = Training(model=path, data="d", device="cpu")
    with sharding.meeting(settings):
        spread = policy(path, True)
        sharding.shard(spread, settings)
        assert sharding.processes() == 2
        assert any(p.to_local().numel() < p.numel() for p in spread.model.parameters())
        for local in (os.environ["LOCAL_RANK"], "0"):  # one node of two processes, and as if on two nodes
            os.environ["LOCAL_RANK"] = local
            with torch.no_grad(), sharding.written(spread) as folder:
                found = tensors(folder)
            assert found.keys() == expected.keys()
            assert all(torch.allclose(value, expected[name], atol=1e-6) for name, value in found.items())


if __name__ == "__main__":
    main(sys.argv[1])
