# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  CAIP-10 ids
@license Apache-2.0
@notice A contract's CAIP-10 account id ("eip155:<chain id>:0x<40 lower-case hex digits>"), whose
        keccak256 names a hub on every chain.
@dev    Called from the constructor only, so none of it is in the deployed code.
"""


@internal
@pure
def _hub_id(chain_id: uint256, hub: address) -> bytes32:
    """
    @notice keccak256 of the UTF-8 text of a hub's CAIP-10 id.
    """
    digits: uint256 = convert(hub, uint256)
    # Forty digits do not fit one word: the first 32 and the last 8 apart.
    head: bytes32 = self._hex(digits >> 32)
    tail: bytes32 = self._hex(digits & (2**32 - 1))
    return keccak256(
        concat(
            b"eip155:",
            convert(uint2str(chain_id), Bytes[78]),
            b":0x",
            head,
            slice(tail, 24, 8),
        )
    )


@internal
@pure
def _hex(number: uint256) -> bytes32:
    """
    @notice The last 32 hex digits of a number, lower case, as ASCII.
    """
    text: uint256 = 0
    for i: uint256 in range(32):
        digit: uint256 = (number >> (4 * (31 - i))) & 15
        # "0" is 48 and "a" is 97, which is 87 + 10.
        text = (text << 8) | (digit + 48 if digit < 10 else digit + 87)
    return convert(text, bytes32)
