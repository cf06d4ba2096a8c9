"""What every process of a run finds in the folder that is written for vLLM. Started by torchrun with a model's path."""

import sys

import torch
from safetensors.torch import load_file

from visreason.model.load import add_lora, load
from visreason.train import sharding
from visreason.train.settings import Training


def policy(path, spread):
    found = load(path, device="cpu", spread=spread)
    add_lora(found, 3, 8, ("vision", "merger", "language"))
    torch.manual_seed(0)
    for name, p in found.model.named_parameters():
        if "lora_" in name:
            p.data = 0.1 * torch.randn_like(p)
    return found


def main(path):
    settings = Training(model=path, data="d", device="cpu")
    sharding.start(settings)
    expected = policy(path, False).merged_weights()
    spread = policy(path, True)
    sharding.shard(spread, settings)
    with torch.no_grad(), sharding.written(spread) as folder:
        found = {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}
    assert sharding.processes() == 2
    assert len(found) > 20
    assert all(torch.allclose(value, expected[name], atol=1e-6) for name, value in found.items())
    assert all(p.to_local().numel() < p.numel() for p in spread.model.parameters() if p.shape[0] > 1)


if __name__ == "__main__":
    main(sys.argv[1])
