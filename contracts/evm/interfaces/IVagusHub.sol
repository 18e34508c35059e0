// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title The calls, views, messages and events of a vagus hub on an EVM chain.
/// @dev Words of 32 bytes name things of any chain: hubs by keccak256 of their CAIP-10 id, EVM
///      addresses padded on the left with twelve zero bytes. Times are seconds of chain time, valid
///      while now <= expiry. Amounts are wei. A test holds this file to the hub's ABI.
interface IVagusHub {
    // Messages: EIP-712 structs of static words, in the order in which they are hashed.

    struct Intent {
        bytes32 originHub;
        uint64 seq;
        bytes32 requester;
        bytes32 agentId;
        bytes32 payloadHash;
        bytes32 modelDigest;
        bytes32 termsHash;
        uint64 minSigners;
        bytes32 destHub;
        bytes32 callback;
        uint64 callbackGas;
        bytes32 feeAsset;
        uint256 maxFee;
        uint64 deadline;
    }

    struct Attestation {
        bytes32 intentId;
        bytes32 originHub;
        uint64 status;
        bytes32 outputHash;
        bytes32 agentDigest;
        bytes32 modelDigest;
        bytes32 evidenceHash;
        uint64 epoch;
        uint64 expiry;
    }

    struct Receipt {
        bytes32 intentId;
        bytes32 destHub;
        uint64 status;
        bytes32 payoutsHash;
        uint256 fee;
        uint64 epoch;
        uint64 expiry;
    }

    struct Rotation {
        uint64 epoch;
        bytes32 signersHash;
        uint64 threshold;
        uint64 validFrom;
        bytes32 rosterHash;
    }

    struct Payout {
        bytes32 payee;
        uint256 amount;
    }

    // What the views answer.

    struct Config {
        bytes32 hubId;
        uint256 chainId;
        uint256 minFee;
        uint64 minTtl;
        uint64 maxTtl;
        uint64 grace;
        uint64 retryWindow;
        uint64 maxCallbackGas;
        uint64 callbackReserve;
        uint64 firstSeq;
        uint64 nextSeq;
        address guardian;
        address pendingGuardian;
        bool paused;
    }

    struct Committee {
        uint64 epoch;
        uint64 threshold;
        address[] signers;
        bytes32 rosterHash;
        uint64 previousEpoch;
        uint64 previousThreshold;
        address[] previousSigners;
        uint64 previousUntil;
    }

    /// @dev state: 0 unknown, 1 open, 2 settled, 3 refunded.
    struct IntentState {
        uint8 state;
        address requester;
        uint64 deadline;
        bytes32 destHub;
        uint256 escrow;
    }

    /// @dev callback: 0 none, 1 succeeded, 2 failed. Bit i of signers is signer i of the epoch.
    struct Delivery {
        uint64 deliveredAt;
        uint64 status;
        bytes32 outputHash;
        bytes32 evidenceHash;
        uint64 epoch;
        uint256 signers;
        address deliverer;
        uint8 callback;
    }

    // Events.

    event IntentRequested(
        bytes32 indexed intentId, uint64 indexed seq, Intent intent, bytes payload, bytes terms
    );
    event Delivered(
        bytes32 indexed intentId,
        bytes32 indexed originHub,
        address indexed deliverer,
        uint64 status,
        bytes32 outputHash,
        bytes32 agentDigest,
        bytes32 modelDigest,
        bytes32 evidenceHash,
        uint64 epoch,
        uint256 signers,
        bytes output
    );
    event CallbackResult(bytes32 indexed intentId, bytes32 indexed callback, bool success);
    event Settled(
        bytes32 indexed intentId,
        uint64 status,
        uint256 fee,
        uint256 returned,
        uint64 epoch,
        Payout[] payouts
    );
    event Refunded(bytes32 indexed intentId, address indexed requester, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    event Rotated(
        uint64 indexed epoch,
        uint64 threshold,
        address[] signers,
        bytes32 rosterHash,
        uint64 previousUntil
    );
    event Paused(address indexed guardian);
    event Unpaused(address indexed guardian);
    event GuardianOffered(address indexed guardian, address indexed candidate);
    event GuardianChanged(address indexed previous, address indexed guardian);

    // Calls.

    /// @notice Asks an agent a question; the value sent is escrowed as the most that it may cost.
    function request(
        bytes32 agentId,
        bytes calldata payload,
        bytes32 modelDigest,
        bytes calldata terms,
        uint64 minSigners,
        bytes32 destHub,
        bytes32 callback,
        uint64 callbackGas,
        uint64 deadline
    ) external payable returns (bytes32 intentId);

    /// @notice Records an outcome that the committee signed, then calls the intent's callback.
    function deliver(
        Intent calldata intent,
        Attestation calldata attestation,
        bytes calldata output,
        bytes[] calldata signatures
    ) external;

    /// @notice Calls a delivered intent's callback again while it has not succeeded, for seven days.
    function retry(Intent calldata intent, bytes calldata output) external returns (bool success);

    /// @notice Closes an open intent: credits whom the receipt pays, and the requester the rest.
    function settle(
        Receipt calldata receipt, Payout[] calldata payouts, bytes[] calldata signatures
    ) external;

    /// @notice Credits the requester of an intent that nobody settled until deadline and grace.
    function refund(bytes32 intentId) external;

    /// @notice Pays the caller all its credit.
    function withdraw() external;

    /// @notice Installs the committee that the current one signed for.
    function rotate(
        Rotation calldata rotation, address[] calldata signers, bytes[] calldata signatures
    ) external;

    /// @notice Stops request, deliver, retry and settle; the guardian's call.
    function pause() external;

    /// @notice Ends a pause; the guardian's call.
    function unpause() external;

    /// @notice Offers the guardian's role; the guardian's call.
    function offerGuardian(address candidate) external;

    /// @notice Takes the guardian's role that was offered to the caller.
    function acceptGuardian() external;

    // Views.

    /// @notice All that was set at deployment, the bounds of seq, the guardian, and whether it paused.
    function config() external view returns (Config memory);

    /// @notice keccak256 of the hub's CAIP-10 id.
    function hubId() external view returns (bytes32);

    /// @notice The smallest fee of a request.
    function minFee() external view returns (uint256);

    /// @notice The current set, and the previous one with the time until which it counts.
    function committee() external view returns (Committee memory);

    /// @notice The signers of any epoch: what the bitmap of a delivery names.
    function signersOf(uint64 epoch) external view returns (address[] memory);

    /// @notice What became of an intent that was asked here; escrow and destHub only while open.
    function intentState(bytes32 intentId) external view returns (IntentState memory);

    /// @notice What was delivered here for an intent; deliveredAt is 0 if nothing was.
    function delivery(bytes32 intentId) external view returns (Delivery memory);

    /// @notice What an account can withdraw.
    function credit(address account) external view returns (uint256);

    /// @notice The id of an intent: its EIP-712 hashStruct.
    function intentId(Intent calldata intent) external pure returns (bytes32);

    /// @notice What a committee signs for an attestation to a hub.
    function attestationDigest(bytes32 hub, Attestation calldata attestation)
        external
        pure
        returns (bytes32);

    /// @notice What a committee signs for a receipt to a hub.
    function receiptDigest(bytes32 hub, Receipt calldata receipt) external pure returns (bytes32);

    /// @notice What a committee signs for a rotation of a hub.
    function rotationDigest(bytes32 hub, Rotation calldata rotation)
        external
        pure
        returns (bytes32);

    /// @notice What a receipt says of its payouts.
    function payoutsHash(Payout[] calldata payouts) external pure returns (bytes32);

    /// @notice What a rotation says of its signers.
    function signersHash(address[] calldata signers) external pure returns (bytes32);
}
