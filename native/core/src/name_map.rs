//! Maps by names. Names come from outside, so their hash is keyed.

use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Makes the hashers of one data directory's names.
#[derive(Clone, Copy, Debug)]
pub struct NameHash(u64, u64);

impl NameHash {
    pub fn new(hash_key: &[u8; 16]) -> Self {
        let (low, high) = hash_key.split_at(8);
        Self(
            u64::from_le_bytes(low.try_into().expect("8 bytes")),
            u64::from_le_bytes(high.try_into().expect("8 bytes")),
        )
    }
}

impl BuildHasher for NameHash {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

pub type NameMap<V> = HashMap<Box<[u8]>, V, NameHash>;
