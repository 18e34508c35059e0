# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Emergency
@license Apache-2.0
@notice Who may stop the hub in an emergency. It can neither change anything nor take anything, and
        never stops rotate, refund and withdraw.
"""

from interfaces import IVagusHub
from modules import identity

uses: identity

_paused: bool
_guardian: address
_candidate: address


@deploy
def __init__(guardian: address):
    """
    @notice Names the first guardian.
    @param guardian Who may pause; zero for nobody, ever.
    """
    self._guardian = guardian
    log IVagusHub.GuardianChanged(previous=empty(address), guardian=guardian)


@external
@nonreentrant
def pause():
    """
    @notice Stops request, deliver, retry and settle; never rotate, refund and withdraw.
    """
    identity._check_chain()
    self._check_guardian()
    assert not self._paused, "paused"
    self._paused = True
    log IVagusHub.Paused(guardian=msg.sender)


@external
@nonreentrant
def unpause():
    """
    @notice Ends a pause.
    """
    identity._check_chain()
    self._check_guardian()
    assert self._paused, "not paused"
    self._paused = False
    log IVagusHub.Unpaused(guardian=msg.sender)


@external
@nonreentrant
def offerGuardian(candidate: address):
    """
    @notice Offers the guardian's role; nothing changes until the candidate accepts.
    @param candidate Who may accept; zero takes an offer back.
    """
    identity._check_chain()
    self._check_guardian()
    self._candidate = candidate
    log IVagusHub.GuardianOffered(guardian=msg.sender, candidate=candidate)


@external
@nonreentrant
def acceptGuardian():
    """
    @notice Takes the guardian's role that was offered to the caller.
    """
    identity._check_chain()
    assert msg.sender == self._candidate, "not the candidate"
    log IVagusHub.GuardianChanged(previous=self._guardian, guardian=msg.sender)
    self._guardian = msg.sender
    self._candidate = empty(address)


@internal
@view
def _check_running():
    """
    @notice Refuses on another chain and while paused.
    """
    identity._check_chain()
    assert not self._paused, "paused"


@internal
@view
def _check_guardian():
    """
    @notice Refuses anyone but the guardian.
    """
    assert msg.sender == self._guardian, "not the guardian"
