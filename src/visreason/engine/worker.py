"""What vLLM's workers can do besides: pack weights again after new ones were loaded. Loaded in their processes."""

from typing import Any


class Worker:
    """An extension of vLLM's worker (`worker_extension_cls`), called by `collective_rpc`."""

    model_runner: Any

    def repack(self) -> None:
        """On a CPU linear layers, the tied head among them, compute with a packed copy of the weights they were loaded
        with, which a reload leaves as it was: log-probs then differ by 0.4 to 1.0."""
        from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

        for layer in self.model_runner.get_model().modules():
            if hasattr(layer, "cpu_linear") and layer.weight.numel():
                dispatch_cpu_unquantized_gemm(layer, remove_weight=False)
