"""The processor: how many cores this process may use, and which kind computes.

Results differ between kinds, in the last digits at first.
"""

import os
import platform
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
WIDE = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # instruction sets that oneDNN's kernels differ by


def usable_cores() -> int:
    """Return the number of cores this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_processor() -> str:
    """Return the processor's name and instruction sets, and the GPU if TensorFlow has been imported and uses one."""
    return f"{_gpu()}{_cpu()}"


def _cpu() -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # Linux only
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    wide = ", ".join(name for name in WIDE if name in flags)
    return f"{names[0] if names else platform.machine()}{f' ({wide})' if wide else ''}"


def _gpu() -> str:
    tensorflow = sys.modules.get("tensorflow")
    gpus = tensorflow.config.list_physical_devices("GPU") if tensorflow else []
    if not gpus:
        return ""
    return f"{tensorflow.config.experimental.get_device_details(gpus[0]).get('device_name', 'GPU')} beside "
