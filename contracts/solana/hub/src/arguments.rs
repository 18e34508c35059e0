// SPDX-License-Identifier: Apache-2.0
//! Arguments: Borsh, read once from the front, handed over inline or in a staging account.

use pinocchio::account::Ref;
use pinocchio::{AccountView, Address};

use crate::accounts::{signer, Record, Staging};
use crate::errors::{require, Reason};
use crate::limits::{MAX_SIGNERS, SIGNATURE};
use crate::number::U64;

/// Types of bytes alone, without alignment: any bytes of their size are one.
///
/// # Safety
/// The implementer is `repr(C)` or `repr(transparent)` over such types.
pub unsafe trait Plain: Copy {}
unsafe impl Plain for u8 {}
unsafe impl Plain for U64 {}
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Values as the bytes that they are.
pub fn bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: Plain has no padding.
    unsafe { core::slice::from_raw_parts(values.as_ptr().cast(), core::mem::size_of_val(values)) }
}

/// Values as bytes that may be changed.
pub fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    let size = core::mem::size_of_val(values);
    // SAFETY: Plain has no padding and takes any bytes.
    unsafe { core::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size) }
}

/// What is left to read of the arguments.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next value.
    pub fn take<T: Plain>(&mut self) -> Result<&'a T, Reason> {
        let bytes = self.slice(core::mem::size_of::<T>())?;
        // SAFETY: as many bytes as T has, and T takes any bytes at any address.
        Ok(unsafe { &*bytes.as_ptr().cast::<T>() })
    }

    /// The next number.
    pub fn number(&mut self) -> Result<u64, Reason> {
        Ok(self.take::<U64>()?.get())
    }

    /// The next bytes with their length in front.
    pub fn bytes(&mut self, maximum: usize, over: Reason) -> Result<&'a [u8], Reason> {
        let length = self.length()?;
        require(length <= maximum, over)?;
        self.slice(length)
    }

    /// The next list with its count in front.
    pub fn list<T: Plain>(&mut self, maximum: usize, over: Reason) -> Result<&'a [T], Reason> {
        let count = self.length()?;
        require(count <= maximum, over)?;
        let bytes = self.slice(count * core::mem::size_of::<T>())?;
        // SAFETY: as many bytes as the items have, and T takes any bytes at any address.
        Ok(unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast::<T>(), count) })
    }

    /// The next signatures, 65 bytes each, one after the other.
    pub fn signatures(&mut self) -> Result<&'a [u8], Reason> {
        self.bytes(MAX_SIGNERS * SIGNATURE, Reason::TooManySignatures)
    }

    /// Rejects what is left over.
    pub fn end(self) -> Result<(), Reason> {
        require(self.0.is_empty(), Reason::Arguments)
    }

    /// The next length or count.
    pub fn length(&mut self) -> Result<usize, Reason> {
        Ok(u32::from_le_bytes(*self.take::<[u8; 4]>()?) as usize)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        if length > self.0.len() {
            return Err(Reason::Arguments);
        }
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        Ok(head)
    }
}

/// A call's arguments, wherever they are; a staging account stays borrowed as long as this lives.
pub enum Arguments<'a> {
    Inline(&'a [u8]),
    Staged(Ref<'a, [u8]>),
}

impl<'a> Arguments<'a> {
    /// Takes the arguments from the staging account of the caller, unless the program's own account
    /// stands in its place.
    #[inline(always)]
    pub fn new(
        program: &Address,
        inline: &'a [u8],
        staging: &'a AccountView,
        caller: &AccountView,
    ) -> Result<Self, Reason> {
        if staging.address() == program {
            return Ok(Self::Inline(inline));
        }
        require(inline.is_empty(), Reason::Arguments)?;
        signer(caller)?;
        let writer = Staging::load(program, staging)?.writer;
        require(&writer == caller.address().as_array(), Reason::AnotherWriter)?;
        let data = staging.try_borrow()?;
        Ok(Self::Staged(Ref::map(data, |data| &data[Staging::SIZE..])))
    }

    pub fn reader(&self) -> Reader<'_> {
        Reader(match self {
            Self::Inline(bytes) => bytes,
            Self::Staged(data) => data,
        })
    }
}
