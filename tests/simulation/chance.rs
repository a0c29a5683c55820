//! What the system gives as random numbers follows from the seed: `std` draws the keys of its hash maps there, and the order of a
//! hash map can decide what a task does first.
//!
//! The function of libc is replaced for this process. Each thread has numbers of its own, and each life a thread.
#![allow(unsafe_code)]

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// The numbers of this thread follow from a seed. Called before anything else in the thread.
pub fn begin(seed: u64) {
    STATE.set(seed);
}

/// See getrandom(2); splitmix64.
///
/// # Safety
///
/// `buffer` has room for `length` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: as asked for; everyone gives a buffer that may not be initialized, and only writes to it follow.
    let buffer =
        unsafe { std::slice::from_raw_parts_mut(buffer.cast::<std::mem::MaybeUninit<u8>>(), length) };
    for octet in buffer {
        let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        octet.write((mixed >> 56) as u8);
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
