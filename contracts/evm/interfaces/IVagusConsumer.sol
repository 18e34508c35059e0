// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title What a contract must offer to be named as the callback of an intent.
/// @dev Anyone may name your contract as callback of any question: check msg.sender (your hub),
///      originHub, requester, agentId and status before you believe an output.
interface IVagusConsumer {
    function onResult(
        bytes32 intentId,
        bytes32 originHub,
        bytes32 requester,
        bytes32 agentId,
        bytes32 payloadHash,
        uint64 status,
        bytes calldata output
    ) external;
}
