// SPDX-License-Identifier: Apache-2.0
//! Why a call is refused: the words are those of the hubs on all chains.

use cosmwasm_std::StdError;
use thiserror::Error;

#[derive(Error, Debug)]
pub enum Error {
    /// The chain's or the storage's own: no rule of the hub.
    #[error(transparent)]
    Std(#[from] StdError),

    #[error("wrong chain")]
    WrongChain,
    #[error("paused")]
    Paused,
    #[error("not paused")]
    NotPaused,
    #[error("not the guardian")]
    NotTheGuardian,
    #[error("not the candidate")]
    NotTheCandidate,
    #[error("periods")]
    Periods,
    #[error("reentered")]
    Reentered,
    #[error("sender malformed")]
    SenderMalformed,

    #[error("no funds taken")]
    NoFundsTaken,
    #[error("one coin only")]
    OneCoinOnly,
    #[error("denom unknown")]
    DenomUnknown,
    #[error("payload too long")]
    PayloadTooLong,
    #[error("terms too long")]
    TermsTooLong,
    #[error("fee under minimum")]
    FeeUnderMinimum,
    #[error("deadline too early")]
    DeadlineTooEarly,
    #[error("deadline too late")]
    DeadlineTooLate,
    #[error("callback gas over maximum")]
    CallbackGasOverMaximum,

    #[error("intent not open")]
    IntentNotOpen,
    #[error("another destination")]
    AnotherDestination,
    #[error("unknown status")]
    UnknownStatus,
    #[error("fee without fulfilment")]
    FeeWithoutFulfilment,
    #[error("fee over maximum")]
    FeeOverMaximum,
    #[error("receipt expired")]
    ReceiptExpired,
    #[error("too many payouts")]
    TooManyPayouts,
    #[error("payouts differ")]
    PayoutsDiffer,
    #[error("payouts overflow")]
    PayoutsOverflow,
    #[error("payouts do not sum")]
    PayoutsDoNotSum,
    #[error("payee zero")]
    PayeeZero,
    #[error("refund too early")]
    RefundTooEarly,
    #[error("no credit")]
    NoCredit,

    #[error("output too long")]
    OutputTooLong,
    #[error("another hub's intent")]
    AnotherHubsIntent,
    #[error("fee asset unknown")]
    FeeAssetUnknown,
    #[error("another intent")]
    AnotherIntent,
    #[error("another origin")]
    AnotherOrigin,
    #[error("output differs")]
    OutputDiffers,
    #[error("another model")]
    AnotherModel,
    #[error("output without fulfilment")]
    OutputWithoutFulfilment,
    #[error("digest without fulfilment")]
    DigestWithoutFulfilment,
    #[error("attestation expired")]
    AttestationExpired,
    #[error("deadline passed")]
    DeadlinePassed,
    #[error("already delivered")]
    AlreadyDelivered,
    #[error("not delivered")]
    NotDelivered,
    #[error("no failed callback")]
    NoFailedCallback,
    #[error("retry too late")]
    RetryTooLate,

    #[error("too many signatures")]
    TooManySignatures,
    #[error("epoch not in force")]
    EpochNotInForce,
    #[error("epoch ended")]
    EpochEnded,
    #[error("too few signatures")]
    TooFewSignatures,
    #[error("signature length")]
    SignatureLength,
    #[error("signature v")]
    SignatureV,
    #[error("signature high s")]
    SignatureHighS,
    #[error("signature invalid")]
    SignatureInvalid,
    #[error("signatures not ascending")]
    SignaturesNotAscending,
    #[error("unknown signer")]
    UnknownSigner,

    #[error("too many signers")]
    TooManySigners,
    #[error("not the next epoch")]
    NotTheNextEpoch,
    #[error("rotation too early")]
    RotationTooEarly,
    #[error("rotation too late")]
    RotationTooLate,
    #[error("signers differ")]
    SignersDiffer,
    #[error("no signers")]
    NoSigners,
    #[error("threshold over size")]
    ThresholdOverSize,
    #[error("threshold too low")]
    ThresholdTooLow,
    #[error("set not ascending")]
    SetNotAscending,
}

/// The error unless the condition holds.
pub fn ensure(holds: bool, error: Error) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(error)
    }
}
