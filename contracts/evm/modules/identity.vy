# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Identity
@license Apache-2.0
@notice Which hub this is: its id and signature domain, for as long as the chain keeps its own id.
"""

from modules import caip
from modules import messages

CHAIN_ID: immutable(uint256)
HUB_ID: immutable(bytes32)
DOMAIN: immutable(bytes32)
FIRST_EPOCH: immutable(uint256)


@deploy
def __init__():
    """
    @notice Derives the hub's id from the live chain's id and its own address.
    @dev    The first epoch is the chain's time: a hub that is deployed again does not repeat it.
    """
    CHAIN_ID = chain.id
    HUB_ID = caip._hub_id(chain.id, self)
    DOMAIN = messages._domain(HUB_ID)
    FIRST_EPOCH = block.timestamp


@internal
@view
def _check_chain():
    """
    @notice Refuses on a fork with another chain id: signatures are for the hub of the old one.
    """
    assert chain.id == CHAIN_ID, "wrong chain"
