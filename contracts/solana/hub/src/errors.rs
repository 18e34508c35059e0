// SPDX-License-Identifier: Apache-2.0
//! Why the hub rejects. The comments are the reasons as the IDL, the docs and the other hubs say them.

use pinocchio::error::ProgramError;

/// The code of the first reason: below it lie the system program's codes, which a failed transfer passes on.
const FIRST: u32 = 6000;

macro_rules! reasons {
    ($($name:ident = $text:literal,)*) => {
        /// A reason, in the order of its code.
        #[derive(Clone, Copy)]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }
    };
}

reasons! {
    UnknownInstruction = "unknown instruction",
    Arguments = "arguments malformed",
    MissingAccounts = "too few accounts",
    MissingSignature = "account does not sign",
    NotWritable = "account not writable",
    WrongAccount = "wrong account",
    AnotherWriter = "another writer's staging",
    ClockUnset = "clock unset",
    AlreadyInitialized = "already initialized",
    NotTheAuthority = "not the upgrade authority",
    Genesis = "genesis malformed",
    Periods = "periods",
    Paused = "paused",
    NotPaused = "not paused",
    NotTheGuardian = "not the guardian",
    NotTheCandidate = "not the candidate",
    FeeUnderMinimum = "fee under minimum",
    DeadlineTooEarly = "deadline too early",
    DeadlineTooLate = "deadline too late",
    CallbackGas = "callback gas over maximum",
    PayloadTooLong = "payload too long",
    TermsTooLong = "terms too long",
    OutputTooLong = "output too long",
    StagingTooLong = "staging too long",
    NonceInUse = "nonce in use",
    AnotherHub = "another hub's intent",
    FeeAsset = "fee asset unknown",
    AnotherIntent = "another intent",
    AnotherOrigin = "another origin",
    OutputDiffers = "output differs",
    AnotherModel = "another model",
    UnknownStatus = "unknown status",
    OutputWithoutFulfilment = "output without fulfilment",
    DigestWithoutFulfilment = "digest without fulfilment",
    AttestationExpired = "attestation expired",
    DeadlinePassed = "deadline passed",
    AlreadyDelivered = "already delivered",
    NotDelivered = "not delivered",
    NoFailedCallback = "no failed callback",
    RetryTooLate = "retry too late",
    CallbackSigns = "callback account signs",
    CallbackOfHub = "callback account of the hub",
    CallbackAccounts = "callback accounts differ",
    NotTheConsumer = "not the consumer",
    TooManyAccounts = "too many accounts",
    IntentNotOpen = "intent not open",
    AnotherDestination = "another destination",
    FeeWithoutFulfilment = "fee without fulfilment",
    FeeOverMaximum = "fee over maximum",
    ReceiptExpired = "receipt expired",
    TooManyPayouts = "too many payouts",
    PayoutsDiffer = "payouts differ",
    PayeeZero = "payee zero",
    CreditNotOpen = "credit not open",
    PayoutsDoNotSum = "payouts do not sum",
    RefundTooEarly = "refund too early",
    NoCredit = "no credit",
    IntentStillOpen = "intent still open",
    CloseTooEarly = "close too early",
    EpochNotInForce = "epoch not in force",
    EpochEnded = "epoch ended",
    TooFewSignatures = "too few signatures",
    TooManySignatures = "too many signatures",
    SignatureLength = "signature length",
    SignatureV = "signature v",
    SignatureHighS = "signature high s",
    SignatureInvalid = "signature invalid",
    NotAscending = "signatures not ascending",
    UnknownSigner = "unknown signer",
    NotTheNextEpoch = "not the next epoch",
    RotationTooEarly = "rotation too early",
    RotationTooLate = "rotation too late",
    SignersDiffer = "signers differ",
    NoSigners = "no signers",
    TooManySigners = "too many signers",
    ThresholdOverSize = "threshold over size",
    ThresholdTooLow = "threshold too low",
    SetNotAscending = "set not ascending",
    Overflow = "amount overflow",
    Sysvar = "sysvar unreadable",
    FirstEpoch = "first epoch not now",
}

impl From<Reason> for ProgramError {
    fn from(reason: Reason) -> Self {
        ProgramError::Custom(FIRST + reason as u32)
    }
}

/// What pinocchio itself refuses: an account that has two roles at once, or that does not fit a call.
impl From<ProgramError> for Reason {
    fn from(_: ProgramError) -> Self {
        Reason::WrongAccount
    }
}

/// Rejects with a reason unless something holds.
#[inline(always)]
pub fn require(holds: bool, reason: Reason) -> Result<(), Reason> {
    if holds {
        Ok(())
    } else {
        Err(reason)
    }
}
