// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IVagusConsumer} from "../interfaces/IVagusConsumer.sol";
import {IVagusHub} from "../interfaces/IVagusHub.sol";

/// @title Example consumer: asks an agent through the hub of its own chain and keeps the answers
///        that it believes. The same contract on two chains, each allowing the other, asks on one
///        and answers on the other.
/// @dev Anyone may name this contract as the callback of any question to any agent, and deliver the
///      answer. onResult therefore checks who calls, where the question was asked, who asked it and
///      which agent answered, and takes an output only with status 0. Storing an output costs 22,100
///      gas per 32 bytes: set callbackGas by the longest answer that you want, or keep its hash.
contract Consumer is IVagusConsumer {
    struct Answer {
        bool answered;
        uint64 status;
        bytes output;
    }

    event Asked(bytes32 indexed intentId);
    event Answered(bytes32 indexed intentId, uint64 status, bytes output);
    event Allowed(bytes32 indexed originHub, bytes32 indexed requester, bool allowed);

    IVagusHub public immutable HUB;
    bytes32 public immutable AGENT_ID;
    address public immutable OWNER;

    /// @notice Whose questions count: by the hub where they are asked and who asks them there.
    mapping(bytes32 => mapping(bytes32 => bool)) public allowed;
    mapping(bytes32 => Answer) private _answers;

    modifier onlyOwner() {
        require(msg.sender == OWNER, "not the owner");
        _;
    }

    /// @param hub The hub on this chain.
    /// @param agentId keccak256 of the agent's "name@major".
    constructor(IVagusHub hub, bytes32 agentId) {
        HUB = hub;
        AGENT_ID = agentId;
        OWNER = msg.sender;
        _allow(hub.hubId(), bytes32(uint256(uint160(address(this)))), true);
    }

    /// @notice Takes the hub's payments, and nobody else's.
    receive() external payable {
        require(msg.sender == address(HUB), "not the hub");
    }

    /// @notice Says whose questions this contract takes answers to.
    function allow(bytes32 originHub, bytes32 requester, bool allowed_) external onlyOwner {
        _allow(originHub, requester, allowed_);
    }

    /// @notice Asks the agent; the value sent is the most that the answer may cost. The owner alone
    ///         asks: where this contract is allowed, its questions count as its own.
    function ask(
        bytes calldata payload,
        bytes32 modelDigest,
        bytes calldata terms,
        uint64 minSigners,
        bytes32 destHub,
        bytes32 callback,
        uint64 callbackGas,
        uint64 deadline
    ) external payable onlyOwner returns (bytes32 intentId) {
        intentId = HUB.request{value: msg.value}(
            AGENT_ID,
            payload,
            modelDigest,
            terms,
            minSigners,
            destHub,
            callback,
            callbackGas,
            deadline
        );
        emit Asked(intentId);
    }

    /// @notice Takes an answer from the hub.
    function onResult(
        bytes32 intentId,
        bytes32 originHub,
        bytes32 requester,
        bytes32 agentId,
        bytes32, /* payloadHash */
        uint64 status,
        bytes calldata output
    ) external {
        require(msg.sender == address(HUB), "not the hub");
        require(allowed[originHub][requester], "requester not allowed");
        require(agentId == AGENT_ID, "another agent");
        // Refused or failed (status 1 and 2): there is no answer to act on, only the fact.
        _answers[intentId] = Answer(status == 0, status, output);
        emit Answered(intentId, status, output);
    }

    /// @notice The answer to a question of an allowed requester.
    function answers(bytes32 intentId) external view returns (Answer memory) {
        return _answers[intentId];
    }

    /// @notice Withdraws this contract's credit at the hub, returned fees and refunds, to the owner.
    function collect() external onlyOwner {
        HUB.withdraw();
        (bool paid,) = OWNER.call{value: address(this).balance}("");
        require(paid, "owner refused");
    }

    function _allow(bytes32 originHub, bytes32 requester, bool allowed_) private {
        allowed[originHub][requester] = allowed_;
        emit Allowed(originHub, requester, allowed_);
    }
}
