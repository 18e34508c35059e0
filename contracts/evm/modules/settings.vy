# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Settings
@license Apache-2.0
@notice What a deployment chooses, for good.
"""

# No deployment needs more, and sums of times stay far from the end of uint64.
MAX_PERIOD: constant(uint64) = 366 * 86400

MIN_FEE: immutable(uint256)
MIN_TTL: immutable(uint64)
MAX_TTL: immutable(uint64)
GRACE: immutable(uint64)
MAX_CALLBACK_GAS: immutable(uint64)


@deploy
def __init__(minFee: uint256, minTtl: uint64, maxTtl: uint64, grace: uint64, maxCallbackGas: uint64):
    """
    @notice Checks and keeps the settings; the hub's constructor explains them.
    """
    assert minTtl <= maxTtl and maxTtl <= MAX_PERIOD and grace <= MAX_PERIOD, "periods"
    MIN_FEE = minFee
    MIN_TTL = minTtl
    MAX_TTL = maxTtl
    GRACE = grace
    MAX_CALLBACK_GAS = maxCallbackGas
