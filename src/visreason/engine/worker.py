"""What vLLM's workers can do besides: pack weights again after new ones were loaded, and end with their client. Loaded
in their processes."""

import os
import select
import signal
from threading import Thread
from typing import Any


class Worker:
    """An extension of vLLM's worker (`worker_extension_cls`), called by `collective_rpc`."""

    model_runner: Any

    def follow(self, client: int) -> None:
        """End when the process `client` does, however it ends: vLLM would live on after one that was killed, and
        keep the GPU's memory. And when it says so: SIGTERM from others, which is blocked here, is not heard."""
        ended = os.pidfd_open(client)

        def wait() -> None:
            select.select([ended], [], [])
            os.kill(os.getpid(), signal.SIGKILL)

        def hear() -> None:
            while signal.sigwaitinfo({signal.SIGTERM}).si_pid != client:
                pass
            os.kill(os.getpid(), signal.SIGKILL)

        for work in (wait, hear):
            Thread(target=work, daemon=True).start()

    def repack(self) -> None:
        """On a CPU linear layers, the tied head among them, compute with a packed copy of the weights they were loaded
        with, which a reload leaves as it was: log-probs then differ by 0.4 to 1.0."""
        from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

        for layer in self.model_runner.get_model().modules():
            if hasattr(layer, "cpu_linear") and layer.weight.numel():
                dispatch_cpu_unquantized_gemm(layer, remove_weight=False)
