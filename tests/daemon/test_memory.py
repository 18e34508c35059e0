"""What a burst took is given back."""

from pathlib import Path

from vagus.daemon.service.memory import trim

BLOCK, COUNT = 1_000, 100_000


def resident() -> int:
    """Bytes of this process, as the kernel counts them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_free_memory_between_blocks_in_use_is_given_back() -> None:
    burst = [bytes(BLOCK) for _ in range(COUNT)]
    full = resident()
    kept = burst[::100]
    del burst
    trim()
    assert full - resident() > BLOCK * COUNT * 3 // 4
    assert len(kept) == COUNT // 100
